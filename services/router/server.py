"""The gRPC door of the router: converts, calls a handler, converts back."""

from time import perf_counter
from typing import Any

from switchyard.routing.v1 import routing_pb2 as pb
from switchyard.routing.v1.routing_pb2_grpc import RouterServiceServicer

from libs.metrics import Metrics
from services.router import convert
from services.router.handlers import RouterHandlers


class RouterServicer(RouterServiceServicer):
    def __init__(self, handlers: RouterHandlers, messages: convert.PlanMessages, metrics: Metrics) -> None:
        self._handlers = handlers
        self._messages = messages
        self._plan_seconds = metrics.plan_seconds

    async def Plan(self, request: pb.PlanRequest, context: Any) -> pb.PlanResponse:
        started = perf_counter()
        plan = self._handlers.plan(
            request.models,
            convert.features_from_proto(request.features),
            convert.preferences_from_proto(request),
            request.generation_id,
        )
        response = self._messages.plan_to_proto(plan, self._handlers.on_offer.catalogue)
        self._plan_seconds.observe(perf_counter() - started)
        return response

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        on_offer = self._handlers.on_offer
        return pb.ListModelsResponse(json=on_offer.models_json, etag=on_offer.etag)

    async def GetModelEndpoints(
        self, request: pb.GetModelEndpointsRequest, context: Any
    ) -> pb.GetModelEndpointsResponse:
        return pb.GetModelEndpointsResponse(json=self._handlers.endpoints_json(request.model))

"""The gRPC door of the router: converts, calls a handler, converts back."""

from time import perf_counter
from typing import Any

from switchyard.routing.v1 import routing_pb2 as pb
from switchyard.routing.v1.routing_pb2_grpc import RouterServiceServicer

from libs.errors import AppError
from libs.metrics import Metrics
from services.router import convert
from services.router.core.plan import EmptyPlanError
from services.router.core.wishes import Wishes
from services.router.handlers import RouterHandlers
from services.router.shelf import Page


class RouterServicer(RouterServiceServicer):
    def __init__(self, handlers: RouterHandlers, messages: convert.PlanMessages, metrics: Metrics) -> None:
        self._handlers = handlers
        self._messages = messages
        self._plan_seconds = metrics.plan_seconds

    async def Plan(self, request: pb.PlanRequest, context: Any) -> pb.PlanResponse:
        started = perf_counter()
        response = self._planned(request, convert.wishes_from_proto(request), begins=True)
        self._plan_seconds.observe(perf_counter() - started)
        return response

    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:
        asked = pb.PlanRequest()
        asked.CopyFrom(request.plan)
        asked.explain = True
        wishes = convert.wishes_from_proto(asked)
        try:
            return pb.ExplainResponse(plan=self._planned(asked, wishes, begins=False))
        except EmptyPlanError as error:
            candidates = convert.dropped_to_proto(error.dropped, wishes)
            empty = pb.PlanResponse(explanation=pb.Explanation(candidates=candidates))
            return pb.ExplainResponse(plan=empty, problem=convert.problem_to_proto(error))
        except AppError as error:
            return pb.ExplainResponse(problem=convert.problem_to_proto(error))

    def _planned(self, request: pb.PlanRequest, wishes: Wishes, *, begins: bool) -> pb.PlanResponse:
        plan = self._handlers.plan(wishes, request.generation_id)
        if begins:
            self._handlers.begin(plan)
        response = self._messages.plan_to_proto(plan, self._handlers.on_offer.catalogue)
        if request.explain:
            response.explanation.CopyFrom(convert.explanation_to_proto(plan, wishes))
        return response

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        wanted = convert.filter_from_proto(request.filter)
        reply = self._handlers.list_models(wanted, Page(request.offset, request.limit, request.link))
        if reply.etag == request.if_none_match:
            return pb.ListModelsResponse(etag=reply.etag, not_modified=True)
        return pb.ListModelsResponse(json=reply.json, etag=reply.etag)

    async def CountModels(self, request: pb.CountModelsRequest, context: Any) -> pb.CountModelsResponse:
        return pb.CountModelsResponse(count=self._handlers.count_models(convert.filter_from_proto(request.filter)))

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        return pb.GetModelResponse(json=self._handlers.on_offer.model_json(request.model))

    async def GetModelEndpoints(
        self, request: pb.GetModelEndpointsRequest, context: Any
    ) -> pb.GetModelEndpointsResponse:
        return pb.GetModelEndpointsResponse(json=self._handlers.model_endpoints(request.model))

    async def ListZdrEndpoints(self, request: pb.ListZdrEndpointsRequest, context: Any) -> pb.ListZdrEndpointsResponse:
        return pb.ListZdrEndpointsResponse(json=self._handlers.zdr_endpoints())

    async def ListProviders(self, request: pb.ListProvidersRequest, context: Any) -> pb.ListProvidersResponse:
        return pb.ListProvidersResponse(json=self._handlers.on_offer.providers_json)

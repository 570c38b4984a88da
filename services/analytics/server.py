"""The gRPC door of analytics: converts, calls a handler, converts back."""

from typing import Any

from switchyard.analytics.v1 import analytics_pb2 as pb
from switchyard.analytics.v1.analytics_pb2_grpc import AnalyticsServiceServicer

from services.analytics import convert
from services.analytics.handlers import AnalyticsHandlers


class AnalyticsServicer(AnalyticsServiceServicer):
    def __init__(self, handlers: AnalyticsHandlers) -> None:
        self._handlers = handlers

    async def GetGeneration(self, request: pb.GetGenerationRequest, context: Any) -> pb.GetGenerationResponse:
        event = await self._handlers.get_generation(request.account_id, request.generation_id)
        return convert.generation_response(event)

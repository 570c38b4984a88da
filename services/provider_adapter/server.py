"""The gRPC door of provider_adapter: converts, runs an attempt, converts back.

Owns the order of messages: chunks or one result, then the end. Does not read wire formats. Invariant: every failure
leaves as an `AppError` with the metadata that README.md lists.
"""

from collections.abc import AsyncIterator
from typing import Any

from opentelemetry.trace import Tracer
from switchyard.provider.v1 import provider_pb2 as pb
from switchyard.provider.v1.provider_pb2_grpc import ProviderAdapterServiceServicer

from services.provider_adapter.attempts import Attempts
from services.provider_adapter.convert import attempt_from_proto, end_to_proto, limits_from_proto
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.port import CHAT
from services.provider_adapter.registry import Registry
from services.provider_adapter.spans import ProviderSpan
from services.provider_adapter.upstream_models import UpstreamModels


class ProviderAdapterServicer(ProviderAdapterServiceServicer):
    def __init__(
        self, registry: Registry, attempts: Attempts, upstream_models: UpstreamModels, tracer: Tracer | None = None
    ) -> None:
        self._tracer = tracer
        self._registry = registry
        self._attempts = attempts
        self._upstream_models = upstream_models

    async def Generate(self, request: pb.GenerateRequest, context: Any) -> AsyncIterator[pb.GenerateResponse]:
        secret = ""
        sent = False
        reply = None
        operation = request.operation or CHAT
        span = ProviderSpan(self._tracer, request.provider_slug, request.provider_model_id, operation)
        try:
            upstream = self._registry.find(request.provider_slug, operation, request.protocol)
            secret = upstream.credential
            attempt = attempt_from_proto(request)
            limits = limits_from_proto(request.limits)
            if not attempt.stream:
                whole = await self._attempts.whole(upstream, attempt, limits)
                span.succeeded(whole.facts, whole.status)
                yield pb.GenerateResponse(result=pb.Result(json=whole.json))
                yield end_to_proto(whole.facts, whole.status, whole.first_event_s, whole.total_s, whole.tool_calls)
                return
            reply = await self._attempts.stream(upstream, attempt, limits)
            while sse := await reply.read():
                sent = True
                message = pb.GenerateResponse()
                message.chunks.sse = sse
                yield message
            span.succeeded(reply.facts, reply.status)
            yield end_to_proto(reply.facts, reply.status, reply.first_event_s, reply.total_s, reply.tool_calls)
        except ProviderFailedError as error:
            span.failed(error.failure)
            raise error.failure.to_error(after_first_chunk=sent, secret=secret) from None
        finally:
            if reply is not None:
                reply.close()
            span.end()

    async def ListUpstreamModels(
        self, request: pb.ListUpstreamModelsRequest, context: Any
    ) -> pb.ListUpstreamModelsResponse:
        model_ids = await self._upstream_models.list()
        return pb.ListUpstreamModelsResponse(listed=model_ids is not None, model_ids=model_ids or [])

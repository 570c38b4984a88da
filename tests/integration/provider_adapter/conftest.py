from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from opentelemetry.trace import Tracer
from switchyard.provider.v1 import provider_pb2 as pb

from libs.clock import SystemClock
from libs.errors import AppError
from services.provider_adapter.attempts import Attempts
from services.provider_adapter.http_calls import HttpCalls, open_http_calls
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.registry import Registry
from services.provider_adapter.server import ProviderAdapterServicer
from services.provider_adapter.upstream_models import UpstreamModels
from tests.integration.provider_adapter.scripted_upstream import ScriptedUpstream, scripted_upstream

CREDENTIAL = "sk-test-credential-1234567890"


def request(**changes: Any) -> pb.GenerateRequest:
    fields: dict[str, Any] = {
        "generation_id": "gen-1-a",
        "provider_slug": "upstream",
        "provider_name": "Some Provider",
        "provider_model_id": "native-model",
        "model": "maker/model",
        "created_s": 1_700_000_000,
        "body": orjson.dumps({"model": "maker/model", "messages": [{"role": "user", "content": "hi"}]}),
    }
    return pb.GenerateRequest(**{**fields, **changes})


def limits(**changes: int) -> pb.AttemptLimits:
    return pb.AttemptLimits(
        **{"connect_ms": 5000, "first_event_ms": 9000, "idle_ms": 9000, "total_ms": 9000, **changes}
    )


@dataclass
class Outcome:
    """Everything that one attempt gave."""

    messages: list[pb.GenerateResponse] = field(default_factory=list)
    error: AppError | None = None

    @property
    def sse(self) -> bytes:
        return b"".join(m.chunks.sse for m in self.messages if m.HasField("chunks"))

    @property
    def text(self) -> str:
        events = [orjson.loads(part[6:]) for part in self.sse.split(b"\n\n") if part]
        return "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])

    @property
    def end(self) -> pb.End:
        assert self.error is None, self.error.metadata
        assert self.messages[-1].HasField("end")
        return self.messages[-1].end

    @property
    def failure(self) -> dict[str, str]:
        assert self.error is not None
        assert not any(m.HasField("end") for m in self.messages)
        return dict(self.error.metadata)


@dataclass
class Adapter:
    servicer: ProviderAdapterServicer

    async def run(self, **changes: Any) -> Outcome:
        outcome = Outcome()
        try:
            async for message in self.servicer.Generate(request(**changes), None):
                outcome.messages.append(message)
        except AppError as error:
            outcome.error = error
        return outcome


def adapter_on(calls: HttpCalls, *, tracer: Tracer | None = None, **settings: Any) -> Adapter:
    registry = Registry(protocols(), {}, {}, **settings)
    return Adapter(
        ProviderAdapterServicer(registry, Attempts(calls, SystemClock()), UpstreamModels(registry, calls), tracer)
    )


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        yield running


@pytest.fixture
async def calls() -> AsyncIterator[HttpCalls]:
    async with open_http_calls(max_connections=100) as opened:
        yield opened


@pytest.fixture
async def adapter(upstream: ScriptedUpstream, calls: HttpCalls) -> Adapter:
    return adapter_on(calls, upstream_base_url=upstream.base_url, upstream_api_key=CREDENTIAL)

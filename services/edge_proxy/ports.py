"""What the edge needs of others, as protocols: the services behind it, the spool, and the client's socket.

Speaks protobuf messages where they cross services anyway: translating them twice per request would buy nothing.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from switchyard.analytics.v1 import analytics_pb2
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded
from switchyard.keys.v1 import keys_pb2
from switchyard.ledger.v1 import ledger_pb2
from switchyard.provider.v1 import provider_pb2
from switchyard.routing.v1 import routing_pb2


class Keys(Protocol):
    async def authenticate(self, key_hash: str) -> keys_pb2.Key:
        """Raises AppError: UNAUTHENTICATED, or NO_ROUTE when key_management is away."""
        ...


class Router(Protocol):
    async def plan(self, request: routing_pb2.PlanRequest) -> routing_pb2.PlanResponse: ...

    async def explain(self, request: routing_pb2.PlanRequest) -> routing_pb2.ExplainResponse: ...

    async def list_models(self, request: routing_pb2.ListModelsRequest) -> routing_pb2.ListModelsResponse: ...

    async def count_models(self, wanted: routing_pb2.ModelFilter) -> int: ...

    async def model(self, model: str) -> bytes:
        """Raises AppError: MISSING. So does `model_endpoints`."""
        ...

    async def model_endpoints(self, model: str) -> bytes: ...

    async def zdr_endpoints(self) -> bytes: ...

    async def providers(self) -> bytes: ...


class Ledger(Protocol):
    async def hold(self, request: ledger_pb2.HoldRequest) -> ledger_pb2.HoldResponse: ...

    async def void(self, generation_id: str) -> None: ...

    async def renew_lease(self, owner: str) -> float:
        """Seconds within which to renew again."""
        ...

    async def credits(self, account_id: str) -> ledger_pb2.GetCreditsResponse: ...

    async def key_spend(self, key_hash: str) -> ledger_pb2.GetKeySpendResponse: ...


class AttemptCall(Protocol):
    """One attempt under way. Iterating raises AppError; `cancel` ends the provider's call, at any time, at once."""

    def __aiter__(self) -> AsyncIterator[provider_pb2.GenerateResponse]: ...

    def cancel(self) -> object: ...


class Adapter(Protocol):
    def generate(self, request: provider_pb2.GenerateRequest, timeout_s: float) -> AttemptCall: ...


class Analytics(Protocol):
    async def generation(self, account_id: str, generation_id: str) -> analytics_pb2.GetGenerationResponse: ...


class UsageLog(Protocol):
    async def append(self, event: UsageRecorded, traceparent: str) -> None:
        """Returns when the event is durable on this machine. Raises AppError when it cannot be."""
        ...


class ClientGoneError(Exception):
    """The caller's connection is closed."""


class Sink(Protocol):
    """The caller's end of a stream."""

    async def write(self, events: bytes) -> None:
        """Raises ClientGoneError."""
        ...

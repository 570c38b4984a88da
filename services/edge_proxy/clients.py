"""The edge's ports on top of generated stubs, whatever channel carries them.

Owns time limits of calls and which calls may be made again. Does not decide anything else.
Invariant: a call is repeated only if repeating it is harmless (planning, and holds by generation id).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
from switchyard.analytics.v1 import analytics_pb2
from switchyard.analytics.v1.analytics_pb2_grpc import AnalyticsServiceStub
from switchyard.keys.v1 import keys_pb2
from switchyard.keys.v1.keys_pb2_grpc import KeyManagementServiceStub
from switchyard.ledger.v1 import ledger_pb2
from switchyard.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from switchyard.provider.v1 import provider_pb2
from switchyard.provider.v1.provider_pb2_grpc import ProviderAdapterServiceStub
from switchyard.routing.v1 import routing_pb2
from switchyard.routing.v1.routing_pb2_grpc import RouterServiceStub

from libs.errors import AppError, Kind, unavailable
from services.edge_proxy.ports import AttemptCall

WAIT_S: Final = 2.0
"""How long a request waits for a service of ours that is away (DESIGN §11 "A service away")."""
_RETRY_PAUSE_S: Final = 0.05

T = TypeVar("T")


async def _patiently(call: Callable[[float], Awaitable[T]], service: str) -> T:
    """Makes a harmless call again while the service is away, for `WAIT_S` in all."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_S
    while True:
        try:
            return await call(max(deadline - loop.time(), 0.05))
        except AppError as error:
            if error.kind is Kind.TIMEOUT and error.reason == "DEADLINE_EXCEEDED":
                raise unavailable(service) from None
            if error.kind is not Kind.NO_ROUTE or error.reason not in {"PEER_LOST", "SERVICE_UNAVAILABLE"}:
                raise
            if loop.time() + _RETRY_PAUSE_S >= deadline:
                raise unavailable(service) from None
        await asyncio.sleep(_RETRY_PAUSE_S)


class KeysClient:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = KeyManagementServiceStub(channel)

    async def authenticate(self, key_hash: str) -> keys_pb2.Key:
        answer = await self._stub.Authenticate(keys_pb2.AuthenticateRequest(hash=key_hash), timeout=WAIT_S)
        return answer.key


class RouterClient:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = RouterServiceStub(channel)

    async def plan(self, request: routing_pb2.PlanRequest) -> routing_pb2.PlanResponse:
        return await _patiently(lambda timeout_s: self._stub.Plan(request, timeout=timeout_s), "router")

    async def explain(self, request: routing_pb2.PlanRequest) -> routing_pb2.ExplainResponse:
        return await self._stub.Explain(routing_pb2.ExplainRequest(plan=request), timeout=WAIT_S)

    async def list_models(self, request: routing_pb2.ListModelsRequest) -> routing_pb2.ListModelsResponse:
        return await self._stub.ListModels(request, timeout=WAIT_S)

    async def count_models(self, wanted: routing_pb2.ModelFilter) -> int:
        answer = await self._stub.CountModels(routing_pb2.CountModelsRequest(filter=wanted), timeout=WAIT_S)
        return answer.count

    async def model(self, model: str) -> bytes:
        answer = await self._stub.GetModel(routing_pb2.GetModelRequest(model=model), timeout=WAIT_S)
        return answer.json

    async def model_endpoints(self, model: str) -> bytes:
        request = routing_pb2.GetModelEndpointsRequest(model=model)
        answer = await self._stub.GetModelEndpoints(request, timeout=WAIT_S)
        return answer.json

    async def zdr_endpoints(self) -> bytes:
        answer = await self._stub.ListZdrEndpoints(routing_pb2.ListZdrEndpointsRequest(), timeout=WAIT_S)
        return answer.json

    async def providers(self) -> bytes:
        answer = await self._stub.ListProviders(routing_pb2.ListProvidersRequest(), timeout=WAIT_S)
        return answer.json


class LedgerClient:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = LedgerServiceStub(channel)

    async def hold(self, request: ledger_pb2.HoldRequest) -> ledger_pb2.HoldResponse:
        return await _patiently(lambda timeout_s: self._stub.Hold(request, timeout=timeout_s), "billing_ledger")

    async def void(self, generation_id: str) -> None:
        await self._stub.Void(ledger_pb2.VoidRequest(generation_id=generation_id), timeout=WAIT_S)

    async def renew_lease(self, owner: str) -> float:
        answer = await self._stub.RenewLease(ledger_pb2.RenewLeaseRequest(owner=owner), timeout=WAIT_S)
        return answer.renew_within_ms / 1000

    async def credits(self, account_id: str) -> ledger_pb2.GetCreditsResponse:
        return await self._stub.GetCredits(ledger_pb2.GetCreditsRequest(account_id=account_id), timeout=WAIT_S)

    async def key_spend(self, key_hash: str) -> ledger_pb2.GetKeySpendResponse:
        return await self._stub.GetKeySpend(ledger_pb2.GetKeySpendRequest(key_hash=key_hash), timeout=WAIT_S)


class AdapterClient:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ProviderAdapterServiceStub(channel)

    def generate(self, request: provider_pb2.GenerateRequest, timeout_s: float) -> AttemptCall:
        return self._stub.Generate(request, timeout=timeout_s)


class AnalyticsClient:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AnalyticsServiceStub(channel)

    async def generation(self, account_id: str, generation_id: str) -> analytics_pb2.GetGenerationResponse:
        request = analytics_pb2.GetGenerationRequest(account_id=account_id, generation_id=generation_id)
        return await self._stub.GetGeneration(request, timeout=WAIT_S)

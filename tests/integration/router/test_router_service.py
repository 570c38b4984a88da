"""The whole service over an event log and a channel: stubs in, plans out, health and upstream by their real ways."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.provider.v1 import provider_pb2
from switchyard.provider.v1.provider_pb2_grpc import (
    ProviderAdapterServiceServicer,
    ProviderAdapterServiceStub,
    add_ProviderAdapterServiceServicer_to_server,
)
from switchyard.routing.v1 import routing_pb2 as pb
from switchyard.routing.v1.routing_pb2_grpc import RouterServiceStub

from libs.bus.memory import MemoryEventLog
from libs.bus.port import HEADER_EVENT_ID, Record
from libs.bus.topics import USAGE
from libs.clock import SystemClock
from libs.errors import AppError, Kind, unavailable
from libs.lifecycle import Service, running
from libs.metrics import Metrics
from libs.rpc.in_process import InProcessChannel
from libs.rpc.methods import MethodTable
from libs.settings import SettingsError
from services.router.core.offer import Offer
from services.router.main import build
from services.router.settings import RoutingSettings
from services.router.upstream import AdapterUpstreamModels
from tests.unit.router.making import small_catalogue

LLAMA = "meta-llama/llama-3.3-70b-instruct"
PATIENT_S = 10.0


class FakeAdapter(ProviderAdapterServiceServicer):
    """An adapter whose upstream lists what the test says, or which is away."""

    def __init__(self) -> None:
        self.model_ids: list[str] | None = None

    def Generate(self, request: Any, context: Any) -> Any:  # noqa: N802 (the proto's name)
        raise AssertionError("the router runs nothing")

    async def ListUpstreamModels(self, request: Any, context: Any) -> provider_pb2.ListUpstreamModelsResponse:  # noqa: N802 (the proto's name)
        if self.model_ids is None:
            raise unavailable("provider_adapter")
        return provider_pb2.ListUpstreamModelsResponse(listed=True, model_ids=self.model_ids)


class Running:
    """A router at work, as its callers see it."""

    def __init__(self, service: Service, channel: InProcessChannel, event_log: MemoryEventLog) -> None:
        self.service = service
        self.event_log = event_log
        self._stub = RouterServiceStub(channel)

    async def plan(self, model: str) -> list[pb.Attempt]:
        preferences = pb.ProviderPreferences(sort=pb.SORT_PRICE)
        request = pb.PlanRequest(generation_id="gen-1", models=[model], preferences=preferences)
        return list((await self._stub.Plan(request)).attempts)

    async def list_models(self) -> pb.ListModelsResponse:
        return await self._stub.ListModels(pb.ListModelsRequest())

    async def until_ready(self) -> None:
        async with asyncio.timeout(PATIENT_S):
            while True:
                if await self.service.check() is None:
                    return
                await asyncio.sleep(0.01)

    async def planned_until(self, model: str, enough: Callable[[list[pb.Attempt]], bool]) -> list[pb.Attempt]:
        async with asyncio.timeout(PATIENT_S):
            while True:
                attempts = await self.plan(model)
                if enough(attempts):
                    return attempts
                await asyncio.sleep(0.01)


@asynccontextmanager
async def router(
    routing: RoutingSettings, adapter: FakeAdapter | None = None, event_log: MemoryEventLog | None = None
) -> AsyncIterator[Running]:
    event_log = event_log or MemoryEventLog()
    table = MethodTable()
    channel = InProcessChannel(table)
    add_ProviderAdapterServiceServicer_to_server(adapter or FakeAdapter(), table)
    upstream = AdapterUpstreamModels(ProviderAdapterServiceStub(channel))
    service = build(event_log, small_catalogue(), routing, upstream=upstream, clock=SystemClock(), metrics=Metrics())
    assert service.add_servicers is not None
    service.add_servicers(table)
    try:
        async with running(service.background):
            yield Running(service, channel, event_log)
    finally:
        await event_log.close()


def failed(endpoint_id: str) -> Record:
    now_ms = SystemClock().now_ms()
    attempt = events.AttemptRecord(
        endpoint_id=endpoint_id, outcome=events.ATTEMPT_OUTCOME_FAILED, status=500, started_at_ms=now_ms
    )
    event = events.UsageRecorded(generation_id="gen-1", account_id="acct_1", attempts=[attempt])
    return Record(USAGE.name, "acct_1", event.SerializeToString(), {HEADER_EVENT_ID: "gen-1"})


async def test_usage_that_edges_record_moves_a_failing_endpoint_to_the_end() -> None:
    async with router(RoutingSettings()) as one:
        cheapest = (await one.plan(LLAMA))[0].endpoint_id
        await one.event_log.publish([failed(cheapest)] * 3)
        attempts = await one.planned_until(LLAMA, lambda some: some[0].endpoint_id != cheapest)
        assert (attempts[-1].endpoint_id, attempts[-1].reason) == (cheapest, "outage")


async def test_router_that_starts_later_knows_of_the_outage_too() -> None:
    event_log = MemoryEventLog()
    cheapest = f"novita-ai/{LLAMA}"
    await event_log.publish([failed(cheapest)] * 3)
    async with router(RoutingSettings(), event_log=event_log) as one:
        await one.planned_until(LLAMA, lambda some: some[-1].endpoint_id == cheapest)


async def test_event_log_that_is_away_does_not_stop_planning() -> None:
    event_log = MemoryEventLog()
    event_log.go_down()
    async with router(RoutingSettings(), event_log=event_log) as one:
        assert len(await one.plan(LLAMA)) == 8
        assert await one.service.check() is None


async def test_credentials_decide_what_is_on_offer() -> None:
    async with router(RoutingSettings(offer=Offer.CREDENTIALS, providers=("groq", "xai"))) as one:
        assert [attempt.provider_slug for attempt in await one.plan(LLAMA)] == ["groq"]
        with pytest.raises(AppError) as caught:
            await one.plan("openai/gpt-4o")
        assert (caught.value.kind, caught.value.metadata["availability"]) == (Kind.MISSING, "no_endpoints")


async def test_credentials_for_nothing_in_the_catalogue_are_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="none of them is in the catalogue: xai"):
        async with router(RoutingSettings(offer=Offer.CREDENTIALS, providers=("xai",))):
            pass


async def test_upstream_is_waited_for_and_then_offered() -> None:
    adapter = FakeAdapter()
    async with router(RoutingSettings(offer=Offer.UPSTREAM), adapter) as one:
        assert await one.service.check() == "provider_adapter"
        with pytest.raises(AppError) as caught:
            await one.plan("mine")
        assert caught.value.kind is Kind.NO_ROUTE
        adapter.model_ids = ["mine"]
        await one.until_ready()
        [attempt] = await one.plan("mine")
        assert (attempt.provider_slug, attempt.provider_model_id) == ("upstream", "mine")
        assert (attempt.price.prompt, attempt.price.completion) == (0, 0)
        assert b'"total_count":1' in (await one.list_models()).json

"""The door: requests as messages in, plans as messages out; what is learned from usage shows in later plans."""

from typing import Any

import orjson
import pytest
from openrouter import components, operations
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.routing.v1 import routing_pb2 as pb

from libs.bus.memory import MemoryEventLog
from libs.bus.port import Delivered, Record
from libs.bus.topics import USAGE
from libs.clock import ManualClock
from libs.errors import AppError
from libs.metrics import Metrics
from services.router.consumers import UsageObserver
from services.router.convert import PlanMessages
from services.router.core.health import Health
from services.router.handlers import RouterHandlers
from services.router.server import RouterServicer
from tests.unit.router.making import small_catalogue

LLAMA = "meta-llama/llama-3.3-70b-instruct"
CHEAPEST = f"novita-ai/{LLAMA}"


class Router:
    """A router over a small catalogue, by its messages."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.handlers = RouterHandlers(Health(), self.clock)
        self.handlers.offer(small_catalogue())
        limits = pb.TimeLimits(connect_ms=5000, first_event_ms=120_000, idle_ms=60_000, total_ms=900_000)
        self.servicer = RouterServicer(self.handlers, PlanMessages(limits), Metrics())
        self.observer = UsageObserver(self.handlers, MemoryEventLog(), self.clock)

    async def plan(self, *models: str, **parts: object) -> pb.PlanResponse:
        request = pb.PlanRequest(generation_id="gen-1", account_id="acct_1", models=models, **parts)  # type: ignore[arg-type] # messages by name
        return await self.servicer.Plan(request, None)

    async def tell(self, *attempts: events.AttemptRecord, completion_tokens: int = 0) -> None:
        event = events.UsageRecorded(generation_id="gen-1", recorded_at_ms=self.clock.now_ms(), attempts=attempts)
        event.usage.completion_tokens = completion_tokens
        await self.tell_bytes(event.SerializeToString())

    async def tell_bytes(self, value: bytes) -> None:
        await self.observer.observe([Delivered(Record(USAGE.name, "acct_1", value), 0, 0, self.clock.now_ms())])

    def failed(self, endpoint_id: str, status: int = 503) -> events.AttemptRecord:
        return events.AttemptRecord(
            endpoint_id=endpoint_id,
            outcome=events.ATTEMPT_OUTCOME_FAILED,
            status=status,
            started_at_ms=self.clock.now_ms() - 40,
            total_ms=40,
        )


async def providers(router: Router, **preferences: object) -> list[str]:
    wanted = pb.ProviderPreferences(**preferences)  # type: ignore[arg-type] # fields by name
    return [one.provider_slug for one in (await router.plan(LLAMA, preferences=wanted)).attempts]


async def test_plan_carries_everything_an_attempt_needs() -> None:
    response = await Router().plan("openai/gpt-4o-mini", preferences=pb.ProviderPreferences(order=["openai"]))
    first = response.attempts[0]
    assert response.strategy == "direct"
    assert (first.endpoint_id, first.provider_slug, first.provider_name) == (
        "openai/openai/gpt-4o-mini",
        "openai",
        "OpenAI",
    )
    assert (first.provider_model_id, first.model, first.reason) == ("gpt-4o-mini", "openai/gpt-4o-mini", "order")
    assert (first.price.prompt, first.price.completion, first.price.cache_read) == (
        150_000_000,
        600_000_000,
        75_000_000,
    )
    assert not first.price.HasField("cache_write")
    assert first.price.version.startswith("catalogue-")
    assert (first.context_length, first.max_completion_tokens) == (128_000, 16_384)
    assert list(first.unsupported_parameters) == ["include_reasoning", "reasoning"]
    assert (first.limits.connect_ms, first.limits.total_ms) == (5000, 900_000)
    assert not first.is_byok


async def test_answers_do_not_share_what_a_caller_might_change() -> None:
    router = Router()
    first = await router.plan(LLAMA)
    first.attempts[0].model = "changed"
    assert (await router.plan(LLAMA)).attempts[0].model == LLAMA


async def test_names_are_matched_whatever_their_case() -> None:
    assert await providers(Router(), has_only=True, only=["GROQ", "Together AI", "Fireworks"], sort=pb.SORT_PRICE) == [
        "groq",
        "togetherai",
        "fireworks-ai",
    ]


async def test_absent_and_empty_preferences_bind_nothing() -> None:
    router = Router()
    assert len((await router.plan(LLAMA)).attempts) == 8
    assert len(await providers(router)) == 8


async def test_empty_only_allows_nobody() -> None:
    with pytest.raises(AppError) as caught:
        await providers(Router(), has_only=True)
    assert caught.value.metadata["excluded_by"] == "allowed_providers"


async def test_zero_as_a_price_bound_binds() -> None:
    with pytest.raises(AppError) as caught:
        await providers(Router(), max_price=pb.MaxPrice(prompt=0))
    assert caught.value.metadata["excluded_by"] == "max_price"


async def test_fallbacks_are_allowed_unless_forbidden() -> None:
    router = Router()
    assert len(await providers(router, allow_fallbacks=True)) == 8
    assert len(await providers(router, allow_fallbacks=False)) == 1


async def test_data_policies_are_obeyed() -> None:
    assert set(await providers(Router(), zdr=True)) == {"deepinfra", "fireworks-ai"}
    denied = await providers(Router(), data_collection=pb.DATA_COLLECTION_DENY)
    assert set(denied) == {"deepinfra", "fireworks-ai", "amazon-bedrock", "google-vertex"}


async def test_names_that_are_no_parameters_are_not_required() -> None:
    features = pb.RequestFeatures(parameters=["stream", "messages", "user", "max_completion_tokens"])
    response = await Router().plan(
        LLAMA, features=features, preferences=pb.ProviderPreferences(require_parameters=True)
    )
    assert len(response.attempts) == 8


async def test_max_tokens_of_zero_is_given_and_absent_is_not() -> None:
    router = Router()
    assert len((await router.plan(LLAMA, features=pb.RequestFeatures(max_tokens=5000))).attempts) == 7
    assert len((await router.plan(LLAMA, features=pb.RequestFeatures())).attempts) == 8


async def test_failing_endpoint_is_left_for_thirty_seconds() -> None:
    router = Router()
    assert (await providers(router, sort=pb.SORT_PRICE))[0] == "novita-ai"
    for _ in range(3):
        await router.tell(router.failed(CHEAPEST))
    attempts = (await router.plan(LLAMA)).attempts
    assert (attempts[-1].provider_slug, attempts[-1].reason) == ("novita-ai", "outage")
    assert (await providers(router, order=["novita"]))[0] == "novita-ai"
    router.clock.advance(31)
    assert (await providers(router, sort=pb.SORT_PRICE))[0] == "novita-ai"


async def test_rate_limited_endpoint_is_left_for_a_while() -> None:
    router = Router()
    await router.tell(router.failed(CHEAPEST, status=429))
    assert (await router.plan(LLAMA)).attempts[-1].reason == "rate_limited"


async def test_callers_mistakes_and_callers_leaving_harm_no_endpoint() -> None:
    router = Router()
    left = router.failed(CHEAPEST)
    left.outcome = events.ATTEMPT_OUTCOME_ABANDONED
    for _ in range(5):
        await router.tell(router.failed(CHEAPEST, status=400), left)
    assert "outage" not in {one.reason for one in (await router.plan(LLAMA)).attempts}


async def test_measured_throughput_ranks_endpoints() -> None:
    router = Router()
    for slug, tokens in (("azure", 10), ("groq", 500)):
        attempt = router.failed(f"{slug}/{LLAMA}")
        attempt.outcome = events.ATTEMPT_OUTCOME_SUCCEEDED
        attempt.first_event_ms = 20
        await router.tell(attempt, completion_tokens=tokens)
    assert (await providers(router, sort=pb.SORT_THROUGHPUT))[:2] == ["groq", "azure"]


async def test_record_that_cannot_be_read_is_skipped() -> None:
    router = Router()
    await router.tell_bytes(b"\xff\xff\xff")
    for _ in range(3):
        await router.tell(router.failed(CHEAPEST))
    assert (await router.plan(LLAMA)).attempts[-1].reason == "outage"


async def test_offer_that_changes_is_what_the_next_plan_sees() -> None:
    router = Router()
    before = await router.plan(LLAMA)
    router.handlers.offer(small_catalogue().with_models([]))
    with pytest.raises(AppError, match="is not a valid model ID"):
        await router.plan(LLAMA)
    assert len(before.attempts) == 8


async def test_reads_give_ready_json() -> None:
    router = Router()
    listed = await router.servicer.ListModels(pb.ListModelsRequest(), None)
    assert listed.json.startswith(b'{"data":[{"id":')
    assert listed.etag.startswith('"')
    shown = await router.servicer.GetModelEndpoints(pb.GetModelEndpointsRequest(model=LLAMA), None)
    assert shown.json.startswith(b'{"data":{"id":"meta-llama/llama-3.3-70b-instruct"')


async def test_endpoint_that_was_down_is_tried_by_one_plan_and_by_no_explanation() -> None:
    router = Router()
    for _ in range(6):
        await router.tell(router.failed(CHEAPEST))
    router.clock.advance(40)
    asked = pb.PlanRequest(
        generation_id="gen-1", models=[LLAMA], preferences=pb.ProviderPreferences(sort=pb.SORT_PRICE)
    )
    for _ in range(3):
        explained = await router.servicer.Explain(pb.ExplainRequest(plan=asked), None)
        assert explained.plan.attempts[0].endpoint_id == CHEAPEST
    assert (await providers(router, sort=pb.SORT_PRICE))[0] == "novita-ai"
    attempts = (await router.plan(LLAMA)).attempts
    assert (attempts[-1].endpoint_id, attempts[-1].reason) == (CHEAPEST, "tripped")
    worked = router.failed(CHEAPEST)
    worked.outcome = events.ATTEMPT_OUTCOME_SUCCEEDED
    await router.tell(worked)
    for _ in range(3):
        assert (await providers(router, sort=pb.SORT_PRICE))[0] == "novita-ai"


async def test_key_that_the_provider_refuses_puts_all_its_endpoints_behind() -> None:
    router = Router()
    for _ in range(3):
        refused = router.failed("novita-ai/another/model", status=401)
        refused.provider_slug = "novita-ai"
        await router.tell(refused)
    attempts = (await router.plan(LLAMA)).attempts
    assert (attempts[-1].provider_slug, attempts[-1].reason) == ("novita-ai", "cooling")


async def test_accounts_own_key_that_is_refused_changes_nothing_for_others() -> None:
    router = Router()
    for _ in range(6):
        refused = router.failed(CHEAPEST, status=401)
        refused.provider_slug, refused.credential_id, refused.is_byok = "novita-ai", "cred_1", True
        await router.tell(refused)
    assert (await providers(router, sort=pb.SORT_PRICE))[0] == "novita-ai"


async def test_conversation_stays_with_the_endpoint_that_served_it() -> None:
    router = Router()
    served = router.failed("groq/openai/gpt-4o-mini")
    served.outcome = events.ATTEMPT_OUTCOME_SUCCEEDED
    event = events.UsageRecorded(
        recorded_at_ms=router.clock.now_ms(),
        outcome=events.OUTCOME_COMPLETED,
        session_key="conversation",
        has_explicit_session=True,
        model="openai/gpt-4o-mini",
        endpoint_id="azure/openai/gpt-4o-mini",
        attempts=[served],
    )
    await router.tell_bytes(event.SerializeToString())
    features = pb.RequestFeatures(session_key="conversation")
    for number in range(20):
        request = pb.PlanRequest(generation_id=f"gen-{number}", models=["openai/gpt-4o-mini"], features=features)
        first = (await router.servicer.Plan(request, None)).attempts[0]
        assert first.endpoint_id == "azure/openai/gpt-4o-mini"


async def test_reads_show_what_is_measured_a_few_seconds_late_at_most() -> None:
    router = Router()

    async def shown() -> Any:
        answer = await router.servicer.GetModelEndpoints(pb.GetModelEndpointsRequest(model=LLAMA), None)
        components.ListEndpointsResponse.model_validate(orjson.loads(answer.json)["data"])
        found = {one["tag"]: one for one in orjson.loads(answer.json)["data"]["endpoints"]}
        return found["groq"]

    assert (await shown())["uptime_last_5m"] is None
    attempt = router.failed(f"groq/{LLAMA}")
    attempt.outcome = events.ATTEMPT_OUTCOME_SUCCEEDED
    attempt.first_event_ms, attempt.total_ms = 20, 40
    for _ in range(98):
        await router.tell(attempt, completion_tokens=4)
    for _ in range(2):
        await router.tell(router.failed(f"groq/{LLAMA}"))
    assert (await shown())["uptime_last_5m"] is None
    router.clock.advance(5)
    found = await shown()
    assert found["uptime_last_5m"] == found["uptime_last_30m"] == found["uptime_last_1d"] == 98
    assert found["latency_last_30m"] == pytest.approx({"p50": 20, "p75": 20, "p90": 20, "p99": 20}, rel=0.021)
    assert found["throughput_last_30m"]["p99"] == pytest.approx(100, rel=0.021)
    assert found["status"] == 0


async def test_endpoints_without_data_retention_show_what_is_measured_too() -> None:
    router = Router()
    attempt = router.failed(f"deepinfra/{LLAMA}")
    attempt.outcome = events.ATTEMPT_OUTCOME_SUCCEEDED
    attempt.first_event_ms = 20
    await router.tell(attempt, completion_tokens=4)
    answer = await router.servicer.ListZdrEndpoints(pb.ListZdrEndpointsRequest(), None)
    parsed = operations.ListEndpointsZdrResponse.model_validate_json(answer.json)
    measured = [one for one in parsed.data if one.latency_last_30m is not None]
    assert [(one.tag, one.model_id) for one in measured] == [("deepinfra", LLAMA)]

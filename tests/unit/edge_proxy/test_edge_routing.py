"""How a request was routed, for callers who ask."""

from typing import Any

import orjson
from switchyard.common.v1.price_pb2 import PriceSnapshot
from switchyard.routing.v1 import routing_pb2 as routing

from libs.errors import AppError, Kind
from tests.testkit.edge_http import AUTHORIZATION, MANAGEMENT_KEY, HttpDoor
from tests.testkit.edge_proxy import chat_body, chunks, end, planned, provider_failure, result

ASKS = {"X-OpenRouter-Metadata": "enabled"}
DROPPED = routing.Candidate(
    endpoint_id="gamma/m", provider_name="Gamma", model="acme/one", tag="gamma", dropped_by="max_price", detail="it costs more",
    price=PriceSnapshot(prompt=5_000_000_000),
)  # fmt: skip


async def explain(door: HttpDoor, key: str | None = None, path: str = "", **changes: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else AUTHORIZATION
    return await door.request("POST", f"/api/v1/routing/explain{path}", data=chat_body(**changes), headers=headers)


async def test_reply_says_how_it_was_routed_only_if_asked(door: HttpDoor) -> None:
    door.edge.router.attempts = [planned("alpha"), planned("beta")]
    door.edge.router.dropped = [DROPPED]
    door.edge.adapter.will(provider_failure("upstream", 503))
    door.edge.adapter.will(result(), end())
    metadata = (await door.chat(headers=ASKS)).json["openrouter_metadata"]
    assert (metadata["strategy"], metadata["attempt"], metadata["is_byok"]) == ("direct", 2, False)
    assert metadata["region"] is None
    assert metadata["endpoints"]["total"] == 3
    assert [one["selected"] for one in metadata["endpoints"]["available"]] == [False, True]
    assert [one["status"] for one in metadata["attempts"]] == [503, 200]
    assert [(one["rank"], one["reason"], one["dropped_by"]) for one in metadata["explanation"]] == [
        (1, "price", None),
        (2, "price", None),
        (None, None, "max_price"),
    ]
    assert metadata["explanation"][2]["detail"] == "it costs more"
    door.edge.adapter.will(result(), end())
    assert "openrouter_metadata" not in (await door.chat()).json
    assert [asked.explain for asked in door.edge.router.requests] == [True, False]


async def test_stream_says_it_in_its_last_chunk(door: HttpDoor) -> None:
    door.edge.adapter.will(chunks("Hi"), end())
    reply = await door.chat(stream=True, headers=ASKS)
    events = [line[6:] for line in reply.body.split(b"\n") if line.startswith(b"data: {")]
    assert [b"openrouter_metadata" in event for event in events] == [False] * (len(events) - 1) + [True]
    last = orjson.loads(events[-1])
    assert last["usage"]["completion_tokens"] == 5
    assert last["openrouter_metadata"]["attempt"] == 1


async def test_error_says_it_at_its_top_level_but_a_500_says_nothing(door: HttpDoor) -> None:
    door.edge.adapter.will(provider_failure("upstream", 503))
    body = (await door.chat(headers=ASKS)).json
    assert body["openrouter_metadata"]["attempts"][0]["status"] == 503
    assert body["openrouter_metadata"]["summary"].endswith("selected=none")
    door.edge.router.failure = AppError(Kind.INTERNAL, "INTERNAL", "secret")
    assert "openrouter_metadata" not in (await door.chat(headers=ASKS)).json


async def test_explain_runs_and_holds_nothing(door: HttpDoor) -> None:
    door.edge.router.attempts = [planned("alpha"), planned("beta")]
    door.edge.router.dropped = [DROPPED]
    data = (await explain(door)).json["data"]
    assert [one["rank"] for one in data["attempts"]] == [1, 2]
    assert data["dropped"][0]["pricing"]["prompt"] == "0.000005"
    assert data["error"] is None
    assert not door.edge.ledger.wishes
    assert not door.edge.usage_log.events
    assert not door.edge.adapter.requests


async def test_explain_says_why_nothing_is_left(door: HttpDoor) -> None:
    door.edge.router.dropped = [DROPPED]
    door.edge.router.failure = AppError(
        Kind.MISSING,
        "NO_ENDPOINTS",
        "No endpoints",
        {
            "availability": "constraint_filtered",
            "excluded_by": "max_price",
            "requested_models": "acme/one",
            "constraint_field": "provider.max_price",
            "constraint_detail": "it costs more",
        },
    )
    reply = await explain(door)
    assert reply.status == 200
    error = reply.json["data"]["error"]
    assert (error["code"], error["availability"]["code"]) == (404, "constraint_filtered")
    assert error["availability"]["constraint"] == {"field": "provider.max_price", "detail": "it costs more"}
    assert "constraint_field" not in error["metadata"]
    assert [one["dropped_by"] for one in reply.json["data"]["dropped"]] == ["max_price"]


async def test_explain_checks_key_and_body_like_the_route_itself(door: HttpDoor) -> None:
    assert (await explain(door, key="nobody")).status == 401
    assert (await explain(door, key=MANAGEMENT_KEY)).status == 403
    assert (await explain(door, messages="none")).status == 400
    assert (await explain(door, path="/chat/completions")).status == 200
    assert (await explain(door, path="/nothing")).status == 404

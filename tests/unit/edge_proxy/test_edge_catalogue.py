"""Catalogue reads at the edge."""

import asyncio
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from switchyard.routing.v1 import routing_pb2

from libs.clock import ManualClock
from libs.errors import AppError, unavailable
from services.edge_proxy.core.model_query import _FILTERS, read_model_query
from services.edge_proxy.http.prepared import MAX_BYTES, Prepared, PreparedReplies, prepared
from tests.testkit.edge_http import HttpDoor
from tests.testkit.edge_proxy import MODEL


async def test_models_come_as_the_router_made_them(door: HttpDoor) -> None:
    reply = await door.get("/models", key=None)
    assert (reply.status, reply.body) == (200, door.edge.router.models)
    assert reply.headers["ETag"] == door.edge.router.etag


async def test_caller_who_has_the_list_already_gets_304(door: HttpDoor) -> None:
    reply = await door.get("/models", headers={"If-None-Match": '"v1"'})
    assert (reply.status, reply.body) == (304, b"")
    assert (await door.get("/models", headers={"If-None-Match": '"old"'})).status == 200


async def test_list_is_kept_for_a_second_and_then_asked_for_again(door: HttpDoor) -> None:
    for _ in range(3):
        await door.get("/models")
    assert len(door.edge.router.lists) == 1
    door.edge.router.models = orjson.dumps({"data": [], "total_count": 0})
    door.edge.router.etag = '"v2"'
    door.edge.clock.advance(1.01)
    assert (await door.get("/models")).json["data"] == []
    assert (await door.get(f"/models/{MODEL}")).status == 404


@pytest.mark.parametrize("path", [f"/models/{MODEL}", f"/model/{MODEL}", f"/models/{MODEL.replace('/', '%2F')}"])
async def test_one_model_has_openais_fields_beside_data(door: HttpDoor, path: str) -> None:
    reply = await door.get(path)
    assert reply.status == 200
    assert (reply.json["id"], reply.json["object"], reply.json["owned_by"]) == (MODEL, "model", "acme")
    assert reply.json["created"] == reply.json["data"]["created"] == 5


async def test_unknown_model_is_404(door: HttpDoor) -> None:
    reply = await door.get("/models/no/such")
    assert reply.status == 404
    assert "no/such" in reply.json["error"]["message"]
    assert (await door.get("/models/no/such/endpoints")).status == 404


async def test_filters_and_page_reach_the_router_as_asked(door: HttpDoor) -> None:
    await door.get("/models?q=claude+opus&input_modalities=image,file&max_price=3.5&zdr=true&offset=10&limit=20&rss=1")
    [asked] = door.edge.router.lists
    assert (asked.offset, asked.limit) == (10, 20)
    assert asked.link == "/api/v1/models?q=claude%20opus&input_modalities=image,file&max_price=3.5&zdr=true&rss=1"
    wanted = asked.filter
    assert (wanted.search, list(wanted.input_modalities), wanted.zdr) == ("claude opus", ["image", "file"], True)
    assert wanted.max_prompt_price == 3_500_000_000
    assert not wanted.HasField("min_prompt_price")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=ten", "limit"), ("offset=-1", "offset"),
        ("sort=best", "sort"), ("category=cats", "category"), ("region=mars", "region"), ("context=0", "context"),
        ("min_price=cheap", "min_price"), ("max_price=-1", "max_price"), ("max_price=1e400", "max_price"),
        ("min_output_price=0.0000000001", "min_output_price"), ("output_modalities=smell", "output_modalities"),
        ("distillable=perhaps", "distillable"), ("max_age_days=1.5", "max_age_days"), ("q=" + "x" * 257, "q"),
        ("model_authors=" + ",".join(["x"] * 65), "model_authors"), ("min_coding_index=nan", "min_coding_index"),
    ],
)  # fmt: skip
async def test_bad_query_is_400_and_names_the_parameter(door: HttpDoor, query: str, field: str) -> None:
    reply = await door.get(f"/models?{query}")
    assert reply.status == 400
    assert field in reply.json["error"]["message"]
    assert door.edge.router.lists == []


async def test_query_without_end_is_400(door: HttpDoor) -> None:
    assert (await door.get("/models?" + "x=1&" * 1000)).status == 400


async def test_first_page_is_500_long_when_only_an_offset_is_given(door: HttpDoor) -> None:
    await door.get("/models?offset=0")
    assert door.edge.router.lists[0].limit == 500
    await door.get("/models?limit=null&q=")
    assert door.edge.router.lists[1].limit == 0


async def test_list_that_is_still_the_same_is_not_sent_again(door: HttpDoor) -> None:
    await door.get("/models")
    door.edge.clock.advance(1.01)
    assert (await door.get("/models")).body == door.edge.router.models
    assert [one.if_none_match for one in door.edge.router.lists] == ["", '"v1"']


async def test_many_at_once_ask_the_router_once(door: HttpDoor) -> None:
    replies = await asyncio.gather(*(door.get("/models") for _ in range(10)))
    assert {reply.body for reply in replies} == {door.edge.router.models}
    assert len(door.edge.router.lists) == 1


async def test_counts_embeddings_providers_and_zdr_endpoints_are_read(door: HttpDoor) -> None:
    assert (await door.get("/models/count")).json == {"data": {"count": 42}}
    assert (await door.get("/models/count?output_modalities=embeddings")).json == {"data": {"count": 7}}
    assert (await door.get("/models/count?output_modalities=x")).status == 400
    assert (await door.get("/providers")).json["data"] == [{"slug": "alpha"}]
    assert (await door.get("/endpoints/zdr")).json["data"] == [{"tag": "alpha"}]
    assert (await door.get("/embeddings/models")).status == 200
    assert list(door.edge.router.lists[0].filter.output_modalities) == ["embeddings"]


async def test_models_of_the_user_need_a_key(door: HttpDoor) -> None:
    assert (await door.get("/models/user", key=None)).status == 401
    assert (await door.get("/models/user?limit=2")).status == 200
    assert door.edge.router.lists[0].limit == 2


@given(st.dictionaries(st.sampled_from(sorted(_FILTERS)) | st.text(max_size=5), st.lists(st.text(max_size=8))))
def test_any_query_is_read_or_refused(query: dict[str, list[str]]) -> None:
    with suppress(AppError):
        routing_pb2.ModelFilter(**read_model_query(query).filter)


async def test_memory_of_replies_is_bounded() -> None:
    replies = PreparedReplies(ManualClock())

    async def ask(_: str) -> Prepared:
        return prepared(bytes(1_000_000))

    for number in range(40):
        await replies.get(number, ask)
    assert sum(len(one.json) for one in replies._ready.values()) <= MAX_BYTES


async def test_endpoints_come_from_the_router(door: HttpDoor) -> None:
    assert (await door.get(f"/models/{MODEL}/endpoints")).json["data"]["id"] == MODEL


async def test_reads_need_no_key_but_a_given_one_must_be_good(door: HttpDoor) -> None:
    for path in ("/models", f"/models/{MODEL}", f"/models/{MODEL}/endpoints"):
        assert (await door.get(path, key=None)).status == 200
        assert (await door.get(path, key="wrong")).status == 401


async def test_router_away_is_503(door: HttpDoor) -> None:
    door.edge.router.failure = unavailable("router")
    assert (await door.get("/models")).status == 503

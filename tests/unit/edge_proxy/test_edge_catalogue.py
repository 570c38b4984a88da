"""Catalogue reads at the edge."""

import orjson
import pytest

from libs.errors import unavailable
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
    assert door.edge.router.listed == 1
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


async def test_endpoints_come_from_the_router(door: HttpDoor) -> None:
    assert (await door.get(f"/models/{MODEL}/endpoints")).json["data"]["id"] == MODEL


async def test_reads_need_no_key_but_a_given_one_must_be_good(door: HttpDoor) -> None:
    for path in ("/models", f"/models/{MODEL}", f"/models/{MODEL}/endpoints"):
        assert (await door.get(path, key=None)).status == 200
        assert (await door.get(path, key="wrong")).status == 401


async def test_router_away_is_503(door: HttpDoor) -> None:
    door.edge.router.failure = unavailable("router")
    assert (await door.get("/models")).status == 503

import pytest
from switchyard.provider.v1 import provider_pb2 as pb

from libs.errors import AppError
from services.provider_adapter import upstream_models
from services.provider_adapter.http_calls import HttpCalls
from tests.integration.provider_adapter.conftest import CREDENTIAL, Adapter, adapter_on
from tests.integration.provider_adapter.scripted_upstream import Cut, ScriptedUpstream, UntilGone, whole


async def listed(adapter: Adapter) -> pb.ListUpstreamModelsResponse:
    return await adapter.servicer.ListUpstreamModels(pb.ListUpstreamModelsRequest(), None)


async def test_the_models_of_the_upstream_are_listed(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(whole({"object": "list", "data": [{"id": "a"}, {"id": "b/c"}, {"id": ""}, {"id": 7}, {}, None]}))

    answer = await listed(adapter)

    assert (answer.listed, list(answer.model_ids)) == (True, ["a", "b/c"])
    assert upstream.received[0].line == "GET /v1/models HTTP/1.1"
    assert upstream.received[0].headers["authorization"] == f"Bearer {CREDENTIAL}"


async def test_an_upstream_without_models_lists_none(adapter: Adapter, upstream: ScriptedUpstream) -> None:
    upstream.answer(whole({"data": []}))

    answer = await listed(adapter)

    assert (answer.listed, list(answer.model_ids)) == (True, [])


@pytest.mark.parametrize(
    "answer", [whole(b"", "404 Not Found"), whole(b"<html>"), whole(b"{}"), whole(b"7"), whole({"data": 1})]
)
async def test_an_upstream_that_does_not_list_is_not_listed(
    adapter: Adapter, upstream: ScriptedUpstream, answer: bytes
) -> None:
    upstream.answer(answer, Cut())

    assert not (await listed(adapter)).listed


@pytest.mark.parametrize("answer", [b"", b"x", whole(b"", "503 Service Unavailable")])
async def test_an_upstream_that_gives_no_answer_is_unreachable(
    adapter: Adapter, upstream: ScriptedUpstream, answer: bytes
) -> None:
    upstream.answer(answer, Cut())

    with pytest.raises(AppError, match="cannot be reached"):
        await listed(adapter)


async def test_a_silent_upstream_is_unreachable(
    adapter: Adapter, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream_models, "_LIMIT_S", 0.05)
    upstream.answer(UntilGone())

    with pytest.raises(AppError, match="cannot be reached"):
        await listed(adapter)
    await upstream.wait_until_gone()


async def test_without_an_upstream_nothing_is_listed(calls: HttpCalls) -> None:
    assert not (await listed(adapter_on(calls))).listed

"""What ties requests of one conversation together."""

from typing import Any

import pytest

from libs.tokens import TokenCounter
from services.edge_proxy.core.chat_request import parse_chat_request
from services.edge_proxy.core.conversation import session_key
from tests.testkit.edge_proxy import Edge, account_key, chat_body

COUNTER = TokenCounter()
SYSTEM = {"role": "system", "content": "You are terse."}
FIRST = {"role": "user", "content": "Hello"}
REPLY = {"role": "assistant", "content": "Hi"}
SECOND = {"role": "user", "content": "Go on"}


def key(account: str = "acct", **changes: Any) -> str:
    request = parse_chat_request(chat_body(**changes), COUNTER)
    return session_key(account, request.session_id, request.conversation)


def test_later_turns_have_the_key_of_the_opening() -> None:
    opening = key(messages=[SYSTEM, FIRST])
    assert key(messages=[SYSTEM, FIRST, REPLY, SECOND]) == opening
    assert len(opening) == 32


@pytest.mark.parametrize(
    "messages",
    [
        [FIRST],
        [SYSTEM, SECOND],
        [{"role": "system", "content": "You are verbose."}, FIRST],
        [{"role": "system", "content": "You are terse.Hello"}, {"role": "user", "content": ""}],
        [SYSTEM, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/1.png"}}]}],
    ],
)
def test_other_openings_have_other_keys(messages: list[Any]) -> None:
    assert key(messages=messages) != key(messages=[SYSTEM, FIRST])


def test_accounts_never_share_a_key() -> None:
    assert key("a", messages=[FIRST]) != key("b", messages=[FIRST])


def test_session_goes_before_cache_key_goes_before_the_opening() -> None:
    assert key(messages=[FIRST], session_id="s") == key(messages=[SECOND], session_id="s", prompt_cache_key="x")
    assert key(messages=[FIRST], prompt_cache_key="k") == key(messages=[SECOND], prompt_cache_key="k")
    assert key(messages=[FIRST], session_id="k") != key(messages=[FIRST], prompt_cache_key="k")
    assert session_key("a", "", b"") == ""


def test_nothing_of_the_prompt_is_in_the_key() -> None:
    assert "Hello" not in key(messages=[FIRST])


async def test_key_reaches_router_and_record(edge: Edge) -> None:
    from tests.testkit.edge_proxy import end, result

    edge.adapter.will(result(), end())
    await edge.complete(session_id="mine")
    record = await edge.only_record()
    [asked] = edge.router.requests
    assert record.session_key == asked.features.session_key == session_key(account_key().account_id, "mine", b"")
    assert record.has_explicit_session
    assert asked.features.has_explicit_session

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_simulator.core.directive import Garbage, parse_directive
from services.provider_simulator.core.script import Ask, Tool, write_script
from services.provider_simulator.protocols.openai.chat_reply import ChatReply

TOOL = Tool("weather", {"properties": {"city": {"type": "string"}}, "required": ["city"]})


def reply(directive: str = "", *, include_usage: bool = True, max_tokens: int | None = None) -> ChatReply:
    ask = Ask("hello", 10, tools=(TOOL,), max_tokens=max_tokens)
    return ChatReply(write_script(ask, parse_directive(directive)), "a/m", include_usage=include_usage, created_s=5)


def stream(of: ChatReply) -> bytes:
    return of.opening() + of.events(0, 10_000) + of.closing()


def chunks(raw: bytes) -> list[dict[str, Any]]:
    assert raw.endswith(b"data: [DONE]\n\n")
    frames = raw.removesuffix(b"data: [DONE]\n\n").split(b"\n\n")[:-1]
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames]


def test_stream_has_openais_order_of_chunks() -> None:
    result = chunks(stream(reply("words=two%20words")))

    assert [chunk["choices"][0]["delta"] if chunk["choices"] else "usage" for chunk in result] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "two"},
        {"content": " words"},
        {},
        "usage",
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in result[:-1]] == [None, None, None, "stop"]
    assert all(chunk["usage"] is None for chunk in result[:-1])
    usage = result[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (10, 2, 12)
    assert {(chunk["object"], chunk["model"], chunk["created"], chunk["system_fingerprint"]) for chunk in result} == {
        ("chat.completion.chunk", "a/m", 5, "switchyard-simulator")
    }
    assert len({chunk["id"] for chunk in result}) == 1


@pytest.mark.parametrize("result", [reply(include_usage=False), reply("usage=none")])
def test_usage_that_is_not_wanted_is_nowhere_in_the_stream(result: ChatReply) -> None:
    assert b'"usage"' not in stream(result)
    assert chunks(stream(result))[-1]["choices"][0]["finish_reason"] == "stop"


def test_usage_none_leaves_it_out_of_the_body() -> None:
    assert "usage" in orjson.loads(reply().whole())
    assert "usage" not in orjson.loads(reply("usage=none").whole())


@given(st.sampled_from(["", "tools=2", "words=a%20b tools=1", "empty=1", "tokens=0"]), st.integers(1, 30))
def test_stream_says_the_same_as_the_whole_body(directive: str, max_tokens: int) -> None:
    result = reply(directive, max_tokens=max_tokens)
    whole = orjson.loads(result.whole())
    message = whole["choices"][0]["message"]
    content, calls = "", dict[int, dict[str, Any]]()
    streamed = chunks(stream(result))
    for chunk in streamed[:-1]:
        delta = chunk["choices"][0]["delta"]
        content += delta.get("content") or ""
        for piece in delta.get("tool_calls", []):
            call = calls.setdefault(piece["index"], {**piece, "function": {"arguments": "", **piece["function"]}})
            if call is not piece and "id" not in piece:
                call["function"]["arguments"] += piece["function"]["arguments"]

    assert content == (message["content"] or "")
    for call in calls.values():
        del call["index"]
    assert list(calls.values()) == message.get("tool_calls", [])
    assert streamed[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert streamed[-1]["usage"] == whole["usage"]


def test_calls_alone_have_null_content() -> None:
    result = reply("tools=2")
    message = orjson.loads(result.whole())["choices"][0]["message"]

    assert message["content"] is None
    assert [call["function"] for call in message["tool_calls"]] == [
        {"name": "weather", "arguments": '{"city": "example"}'},
        {"name": "weather", "arguments": '{"city": "example"}'},
    ]
    assert len({call["id"] for call in message["tool_calls"]}) == 2
    assert chunks(stream(result))[0]["choices"][0]["delta"]["content"] is None


def test_failure_is_an_error_event_without_end_mark() -> None:
    event = reply("fail=503 after=1").failure_event()

    assert orjson.loads(event.removeprefix(b"data: "))["error"]["code"] == "service_unavailable"


def test_rate_limit_failure_says_when_to_come_back() -> None:
    headers, body = reply("fail=429").failure()

    assert headers["retry-after"] == "1"
    assert orjson.loads(body)["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 418, 422, 500, 502, 503, 529, 599])
def test_every_failure_has_openais_four_fields(status: int) -> None:
    _, body = reply(f"fail={status}").failure()

    assert set(orjson.loads(body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("in_stream", [False, True])
def test_garbage_is_broken_as_asked(in_stream: bool) -> None:
    result = reply()
    html_headers, html = result.garbage(Garbage.HTML, stream=in_stream)
    _, broken = result.garbage(Garbage.JSON, stream=in_stream)
    _, not_utf8 = result.garbage(Garbage.UTF8, stream=in_stream)

    assert html_headers["Content-Type"].startswith("text/html")
    assert html.startswith(b"<!DOCTYPE html>")
    if in_stream:
        with pytest.raises(orjson.JSONDecodeError):
            chunks(broken)
    else:
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(broken)
    with pytest.raises(UnicodeDecodeError):
        not_utf8.decode()

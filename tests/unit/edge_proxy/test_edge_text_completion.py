"""The chat dialect put as text completions, whole and streamed."""

from decimal import Decimal
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.edge_proxy.core.text_completion import CompletionEvents, whole_completion
from tests.testkit.edge_proxy import chunk_event

USAGE = (
    b'{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"cost":0.0000001,"cost_details":{"x":0.123456789012}}'
)


def whole(*messages: dict[str, Any], echo: str = "", after: bytes = b"") -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", **message},
            "finish_reason": "stop",
            "native_finish_reason": "end",
        }
        for index, message in enumerate(messages)
    ]
    reply = {
        "id": "gen-x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "provider": "P",
        "choices": choices,
    }
    json = whole_completion(orjson.dumps(reply)[:-1] + b',"usage":' + USAGE + after + b"}", echo)
    assert b'"usage":' + USAGE in json
    value = orjson.loads(json)
    assert isinstance(value, dict)
    return value


def test_whole_reply_is_a_text_completion_with_the_usage_as_it_was_written() -> None:
    value = whole({"content": "Hi"}, {"content": None, "reasoning": "hm"}, after=b',"openrouter_metadata":{"a":{}}')
    assert value["object"] == "text_completion"
    assert value["choices"] == [
        {"text": "Hi", "index": 0, "logprobs": None, "finish_reason": "stop", "native_finish_reason": "end"},
        {
            "text": "",
            "index": 1,
            "logprobs": None,
            "finish_reason": "stop",
            "native_finish_reason": "end",
            "reasoning": "hm",
        },
    ]
    assert (value["id"], value["model"], value["provider"]) == ("gen-x", "m", "P")
    assert Decimal(str(value["usage"]["cost"])) == Decimal("0.0000001")


def test_every_choice_begins_with_the_echo() -> None:
    assert [one["text"] for one in whole({"content": "a"}, {"content": "b"}, echo="Once ")["choices"]] == [
        "Once a",
        "Once b",
    ]


def events(converted: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line[6:]) for line in converted.split(b"\n\n") if line.startswith(b"data: {")]


@given(st.lists(st.text(max_size=5), min_size=1, max_size=8), st.text(max_size=5), st.integers(1, 4))
def test_stream_says_the_same_however_events_come_together(texts: list[str], echo: str, together: int) -> None:
    chat = [chunk_event("", role="assistant"), *(chunk_event(text) for text in texts)]
    converter = CompletionEvents(echo)
    given_out = b"".join(
        converter.convert(b"".join(chat[start : start + together])) for start in range(0, len(chat), together)
    )
    chunks = events(given_out)
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == echo + "".join(texts)
    assert all(chunk["object"] == "text_completion" for chunk in chunks)
    assert len(chunks) == len([text for text in texts if text]) + bool(echo)


def test_usage_done_comments_and_errors_pass() -> None:
    converter = CompletionEvents()
    last = b'data: {"id":"g","object":"chat.completion.chunk","choices":[],"usage":' + USAGE + b"}\n\ndata: [DONE]\n\n"
    converted = converter.convert(b": OPENROUTER PROCESSING\n\n" + last)
    assert converted.startswith(b": OPENROUTER PROCESSING\n\n")
    assert converted.endswith(b"data: [DONE]\n\n")
    assert b'"usage":' + USAGE in converted
    broken = {"object": "chat.completion.chunk", "error": {"code": 502}, "choices": [
        {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}]}  # fmt: skip
    [error] = events(converter.convert(b"data: " + orjson.dumps(broken) + b"\n\n"))
    assert error["error"] == {"code": 502}
    assert error["choices"][0] == {
        "text": "", "index": 0, "logprobs": None, "finish_reason": "error", "native_finish_reason": None,
    }  # fmt: skip


def chunk_with_logprobs(*tokens: tuple[str, float]) -> bytes:
    content = [{"token": token, "logprob": value, "bytes": [], "top_logprobs": [{"token": token, "logprob": value}]}
               for token, value in tokens]  # fmt: skip
    choice = {"index": 0, "delta": {"content": "".join(token for token, _ in tokens)}, "logprobs": {"content": content}}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


def test_logprobs_of_chat_become_the_legacy_columns_and_native_ones_pass() -> None:
    converter = CompletionEvents()
    first, second = events(
        converter.convert(chunk_with_logprobs(("He", -0.5), ("llo", -1)) + chunk_with_logprobs(("!", -2)))
    )
    assert first["choices"][0]["logprobs"] == {
        "tokens": ["He", "llo"], "token_logprobs": [-0.5, -1], "top_logprobs": [{"He": -0.5}, {"llo": -1}], "text_offset": [0, 2],
    }  # fmt: skip
    assert second["choices"][0]["logprobs"]["text_offset"] == [5]
    native = {"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": None, "text_offset": [0]}
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": native}
    [passed] = events(converter.convert(b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"))
    assert passed["choices"][0]["logprobs"] == native


def test_end_with_tool_calls_is_a_stop() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "tool_calls", "native_finish_reason": "tool_use"}
    [chunk] = events(CompletionEvents().convert(b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"))
    assert (chunk["choices"][0]["finish_reason"], chunk["choices"][0]["native_finish_reason"]) == ("stop", "tool_use")

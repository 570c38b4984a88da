"""What Anthropic's hosts do beside the documentation's plain cases; each was wrong here once or could be."""

from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.anthropic_messages.usage import Counts
from services.provider_adapter.protocols.failures import FailureClass
from services.provider_adapter.protocols.port import Usage
from tests.testkit.provider_conformance import Decoded
from tests.unit.provider_adapter.anthropic_bodies import (
    START,
    STOP,
    TOOL,
    WIRE,
    block,
    end,
    events,
    prepared,
    sent,
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        # Hosts that count at the end alone, and hosts that count at the start alone.
        ([{"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 9, "output_tokens": 5}], Usage(9, 5)),
        ([{"input_tokens": 9, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 5}], Usage(9, 5)),
        (
            [
                {"input_tokens": 2, "cache_read_input_tokens": 7, "output_tokens": 1},
                {"input_tokens": 2, "cache_read_input_tokens": 0, "output_tokens": 0},
            ],
            Usage(9, 0, cache_read_tokens=7),
        ),
        (
            [{"input_tokens": 2, "output_tokens": 3, "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}}],
            Usage(11, 3, cache_write_tokens=4, cache_write_1h_tokens=5),
        ),
        (
            [
                {"input_tokens": 2, "output_tokens": 1, "cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
                {"input_tokens": 2, "output_tokens": 3, "cache_creation_input_tokens": 9},
            ],
            Usage(11, 3, cache_write_1h_tokens=9),
        ),
        ([{"input_tokens": 2, "output_tokens": 3, "server_tool_use": {"web_search_requests": 2}, "service_tier": None}], Usage(2, 3, web_searches=2)),
    ],
)  # fmt: skip
def test_what_was_counted_is_not_uncounted(said: list[Any], expected: Usage) -> None:
    counts = Counts()
    for one in said:
        counts.note(one)

    assert counts.usage() == expected


def test_a_paused_turn_and_a_compacted_one_are_answers() -> None:
    for reason in ("pause_turn", "compaction"):
        decoded = Decoded(WIRE, events(START, *block({"type": "text", "text": "a"}), end(reason), STOP))
        assert (decoded.facts.finish_reason, decoded.facts.native_finish_reason) == ("stop", reason)


def test_a_window_that_is_full_is_a_limit() -> None:
    decoded = Decoded(WIRE, events(START, *block({"type": "text", "text": "a"}), end("model_context_window_exceeded")))

    assert decoded.facts.finish_reason == "length"


def test_blocks_without_a_form_change_nothing_whatever_their_deltas() -> None:
    strange = block(
        {"type": "compaction", "content": None}, {"type": "compaction_delta", "content": "summary"}, index=0
    )
    search = block(
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query": "x"}'},
        index=1,
    )
    found = block({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}, index=2)
    said = block({"type": "text", "text": ""}, {"type": "text_delta", "text": "Found."}, index=3)

    ended = end(context_management={"applied_edits": []})
    decoded = Decoded(WIRE, events(START, *strange, *search, *found, *said, ended, STOP))

    assert decoded.failure is None
    assert decoded.joined("content") == "Found."
    assert decoded.calls == []
    assert decoded.facts.finish_reason == "stop"


def test_a_refusal_without_content_is_a_content_filter() -> None:
    decoded = Decoded(WIRE, events(START, end("refusal"), STOP))

    assert decoded.failure is None
    assert decoded.facts.finish_reason == "content_filter"


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 200001 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000, decrease input length",
    ],
)
def test_a_context_that_is_too_long_is_said_so(message: str) -> None:
    body = orjson.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": message}})

    failure = AnthropicMessages().failure(400, {}, body, 0)

    assert failure.failure_class is FailureClass.CONTEXT_LENGTH_EXCEEDED


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (["interleaved-thinking-2025-05-14"], "interleaved-thinking-2025-05-14"),
        ("a-1,b-2", "a-1,b-2"),
        (["a-1", "b-2", "a-1"], "a-1,b-2"),
        (["bad\r\nx: y", "a-1", 7, ""], "a-1"),
        ("", None),
        (None, None),
        ({}, None),
    ],
)
def test_flags_of_betas_that_the_caller_names_are_a_header(given: Any, header: str | None) -> None:
    made = prepared(anthropic_beta=given)

    assert made.headers.get("anthropic-beta") == header
    assert "anthropic_beta" not in orjson.loads(made.body)


def test_flags_in_the_callers_header_stand_before_those_in_the_body() -> None:
    made = prepared(anthropic_beta=["c-3", "a-1"], flags=" a-1 , b-2,,no good,")

    assert made.headers["anthropic-beta"] == "a-1,b-2,c-3"


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def test_of_the_tools_those_that_are_allowed_are_offered() -> None:
    other = {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}
    body = sent(tools=[TOOL, other], tool_choice=allowed("required", "g"))

    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}
    assert sent(tools=[TOOL, other], tool_choice=allowed("auto", "f"))["tool_choice"] == {"type": "auto"}

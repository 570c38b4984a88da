from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.anthropic_messages.usage import Counts
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Prepared, Usage
from tests.testkit.provider_conformance import Decoded, attempt
from tests.unit.provider_adapter.anthropic_bodies import (
    START,
    STOP,
    WIRE,
    block,
    end,
    events,
)


def test_a_call_without_arguments_has_an_empty_object() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}

    assert Decoded(WIRE, events(START, *block(call), end("tool_use"), STOP)).calls[0]["arguments"] == "{}"


def test_slots_count_calls_alone_and_server_tools_have_no_form() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    query = {"type": "input_json_delta", "partial_json": '{"query":"x"}'}
    raw = events(START, *block(search, query), *block(found, index=1), *block(call, index=2), end("tool_use"), STOP)

    decoded = Decoded(WIRE, raw)

    assert decoded.calls == [{"id": "t", "name": "f", "arguments": '{"a":1}'}]
    assert b"query" not in decoded.bytes


def test_redacted_thinking_is_an_encrypted_detail() -> None:
    content = [{"type": "redacted_thinking", "data": "ZW5j"}]
    raw = events(START, *block(content[0]), end(), STOP)
    whole, _ = AnthropicMessages().whole(attempt(WIRE), Prepared("", b""), orjson.dumps({"content": content}))
    expected = [{"type": "reasoning.encrypted", "data": "ZW5j", "format": "anthropic-claude-v1", "index": 0}]

    assert Decoded(WIRE, raw).deltas[1] == {"reasoning_details": expected}
    assert orjson.loads(whole)["choices"][0]["message"]["reasoning_details"] == expected


def test_citations_with_an_address_become_annotations_of_their_text() -> None:
    cite = {"type": "web_search_result_location", "url": "https://x.test", "title": "T", "cited_text": "c"}
    place = {"type": "char_location", "cited_text": "c", "document_index": 0}
    text = {"type": "text", "text": ""}
    deltas = [{"type": "citations_delta", "citation": c} for c in (cite, place)]
    raw = events(
        START,
        *block(text, {"type": "text_delta", "text": "ab"}),
        *block(text, *deltas, {"type": "text_delta", "text": "cde"}, index=1),
        end(),
        STOP,
    )
    body = {"content": [{"type": "text", "text": "ab"}, {"type": "text", "text": "cde", "citations": [cite, place]}]}
    whole, _ = AnthropicMessages().whole(attempt(WIRE), Prepared("", b""), orjson.dumps(body))
    told = {"url": "https://x.test", "title": "T", "content": "c", "start_index": 2, "end_index": 5}

    annotations = [{"type": "url_citation", "url_citation": told}]
    assert [d["annotations"] for d in Decoded(WIRE, raw).deltas if "annotations" in d] == [annotations]
    assert orjson.loads(whole)["choices"][0]["message"]["annotations"] == annotations


def test_a_refusal_says_why_where_the_provider_does() -> None:
    delta = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "Not this."}}
    decoded = Decoded(WIRE, events(START, {"type": "message_delta", "delta": delta}, STOP))

    assert decoded.joined("refusal") == "Not this."
    assert (decoded.facts.finish_reason, decoded.facts.native_finish_reason) == ("content_filter", "refusal")
    assert Decoded(WIRE, events(START, end("refusal"), STOP)).facts.has_content is False


def test_a_message_that_stops_without_a_reason_is_complete_and_empty() -> None:
    decoded = Decoded(WIRE, events(START, end(None), STOP))

    assert (decoded.failure, decoded.facts.finish_reason) == (None, "")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", FailureClass.OVERLOADED),
        ("rate_limit_error", FailureClass.RATE_LIMITED),
        ("timeout_error", FailureClass.TIMEOUT),
        ("api_error", FailureClass.UPSTREAM),
        ("invalid_request_error", FailureClass.UPSTREAM),
    ],
)
def test_errors_inside_a_success_have_the_class_of_their_type(kind: str, expected: FailureClass) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "m"}}
    decoded = Decoded(WIRE, events(START, error))
    with pytest.raises(ProviderFailedError) as caught:
        AnthropicMessages().whole(attempt(WIRE), Prepared("", b""), orjson.dumps(error))

    assert decoded.failure is not None
    for failure in (
        decoded.failure,
        caught.value.failure,
        AnthropicMessages().failure(200, {}, orjson.dumps(error), 0),
    ):
        assert (failure.failure_class, failure.code, failure.status) == (expected, kind, 200)


def test_an_empty_balance_is_no_fault_of_the_caller() -> None:
    body = WIRE.error(400, "Your credit balance is too low to access the Anthropic API.")
    failure = AnthropicMessages().failure(400, {}, body, 0)

    assert failure.failure_class is FailureClass.INSUFFICIENT_CREDITS
    assert failure.to_error().metadata["retryable_elsewhere"] == "true"


@pytest.mark.parametrize(("header", "expected"), [("true", "true"), ("false", "false"), ("maybe", None), (None, None)])
def test_the_providers_own_word_on_retrying_is_passed_on(header: str | None, expected: str | None) -> None:
    headers = {} if header is None else {"x-should-retry": header}
    error = AnthropicMessages().failure(529, headers, WIRE.error(529, "Overloaded"), 0).to_error()

    assert error.metadata.get("provider_says_again") == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([{"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 7}], Usage(3, 7)),
        ([{"input_tokens": 3, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1, "output_tokens": 0}], Usage(6, 0, 2, 1)),
        ([{"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}, "output_tokens": 0}], Usage(6, 0, 0, 2, cache_write_1h_tokens=3)),
        ([{"input_tokens": 3, "output_tokens": 9}, {"input_tokens": None, "output_tokens": -1}], Usage(3, 9)),
        ([{"input_tokens": 3, "output_tokens": 1}, {"input_tokens": 5, "output_tokens": 2}], Usage(5, 2)),
        ([{"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 9}}], Usage(1, 2)),
        ([{"output_tokens": 2}], None),
        ([None, 7, [], {"input_tokens": True, "output_tokens": 1}], None),
    ],
)  # fmt: skip
def test_counts_are_the_last_that_were_well_formed(said: list[Any], expected: Usage | None) -> None:
    counts = Counts()
    for value in said:
        counts.note(value)

    assert counts.usage() == expected

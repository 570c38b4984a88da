from typing import Any

import pytest

from services.provider_adapter.protocols.cohere.protocol import CohereChat
from services.provider_adapter.protocols.cohere.usage import usage_of
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Prepared, Usage
from tests.testkit.provider_conformance import Decoded, attempt
from tests.unit.provider_adapter.cohere_bodies import (
    START,
    WIRE,
    call,
    citation,
    cite,
    content,
    end,
    events,
    plan,
    whole,
)

BILLED = {"input_tokens": 13, "output_tokens": 2}
TOKENS = {"input_tokens": 542, "output_tokens": 5}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"billed_units": BILLED, "tokens": TOKENS, "cached_tokens": 448}, Usage(13, 2)),
        ({"billed_units": {"input_tokens": 13.0, "output_tokens": 2.0}, "tokens": TOKENS}, Usage(13, 2)),
        ({"billed_units": BILLED, "tokens": {**TOKENS, "reasoning_tokens": 4}}, Usage(13, 2, reasoning_tokens=2)),
        ({"tokens": TOKENS, "cached_tokens": 448}, Usage(542, 5, cache_read_tokens=448)),
        ({"tokens": TOKENS, "cached_tokens": 600}, Usage(542, 5)),
        ({"billed_units": {"input_tokens": 13}, "tokens": TOKENS}, Usage(542, 5)),
        ({"billed_units": {"input_tokens": -1, "output_tokens": 2}}, None),
        ({"billed_units": {"input_tokens": True, "output_tokens": 2.5}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_what_is_billed_is_counted_in_one_measure(usage: Any, expected: Usage | None) -> None:
    assert usage_of(usage) == expected
    assert Decoded(WIRE, events(START, content(0, text="a"), end(usage=usage))).facts.usage == expected
    assert whole({"content": [{"type": "text", "text": "a"}]}, usage=usage)[1].usage == expected


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("OF_THE_FUTURE", "stop"),
    ],
)
def test_finish_reasons_are_chats_beside_the_providers_own(native: str, expected: str) -> None:
    choice, facts = whole({"content": [{"type": "text", "text": "a"}]}, native)
    decoded = Decoded(WIRE, events(START, content(0, text="a"), end(native)))

    assert (choice["finish_reason"], choice["native_finish_reason"]) == (expected, native)
    assert (facts.finish_reason, decoded.facts.finish_reason) == (expected, expected)
    assert decoded.failure is None


@pytest.mark.parametrize(("native", "expected"), [("ERROR", "upstream"), ("TIMEOUT", "timeout")])
def test_an_error_finish_without_a_word_is_a_failure_inside_a_success(native: str, expected: str) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        whole({"role": "assistant", "content": []}, native, usage={"billed_units": BILLED})
    decoded = Decoded(WIRE, events(START, content(0, kind="content-start", type="text", text=""), end(native)))

    for failure in (caught.value.failure, decoded.failure):
        assert failure is not None
        assert (failure.failure_class, failure.status, failure.code) == (expected, 200, native)
    assert decoded.bytes == b""


def test_an_error_that_says_why_is_a_failure_after_what_came_before() -> None:
    decoded = Decoded(WIRE, events(START, content(0, text="a"), end("ERROR", error="out of luck")))

    assert decoded.joined("content") == "a"
    assert decoded.failure is not None
    assert (decoded.failure.failure_class, decoded.failure.message) == (FailureClass.UPSTREAM, "out of luck")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"message": "boom"}},
        {"type": "error", "message": "boom"},
        {"id": "x", "message": "boom"},
        {"error": "boom"},
    ],
)
def test_error_events_of_any_shape_are_failures(event: dict[str, Any]) -> None:
    decoded = Decoded(WIRE, events(START, event))

    assert decoded.failure is not None
    assert decoded.failure.message == "boom"
    with pytest.raises(ProviderFailedError):
        CohereChat().whole(attempt(WIRE), Prepared("", b""), b'{"id":"x","message":"boom"}')


def test_events_without_a_type_go_by_their_name() -> None:
    raw = b'event: content-delta\ndata: {"index":0,"delta":{"message":{"content":{"text":"a"}}}}\n\n'

    assert Decoded(WIRE, raw + events(end())).joined("content") == "a"


def test_a_plan_is_reasoning_that_says_what_it_is() -> None:
    raw = events(START, plan("I "), plan("will."), *call('{"a":', "1}"), end("TOOL_CALL"))
    calls = [{"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]
    choice, _ = whole({"tool_plan": "I will.", "tool_calls": calls}, "TOOL_CALL")
    decoded = Decoded(WIRE, raw)
    details = [detail for delta in decoded.deltas for detail in delta.get("reasoning_details", ())]

    assert decoded.joined("reasoning") == choice["message"]["reasoning"] == "I will."
    assert {(detail["id"], detail["index"], detail["format"]) for detail in details} == {
        ("tool_plan", 0, "cohere-chat-v2")
    }
    assert choice["message"]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "I will.", "id": "tool_plan", "format": "cohere-chat-v2", "index": 0}
    ]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == calls


@pytest.mark.parametrize(
    ("start", "pieces"),
    [("", ()), (None, ()), ("", (None,)), ("null", ()), ("", ("null",)), ("", ("nu", "ll")), ("", ("", " "))],
)
def test_null_arguments_are_an_empty_object(start: Any, pieces: tuple[Any, ...]) -> None:
    assert Decoded(WIRE, events(START, *call(*pieces, arguments=start), end("TOOL_CALL"))).calls == [
        {"id": "c0", "name": "f", "arguments": "{}"}
    ]


@pytest.mark.parametrize("given", [None, "null", "", " null ", {}])
def test_null_arguments_of_a_whole_reply_are_an_empty_object(given: Any) -> None:
    calls = [{"id": "c0", "type": "function", "function": {"name": "f", "arguments": given}}]

    choice, _ = whole({"tool_calls": calls}, "TOOL_CALL")

    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_calls_may_interleave_come_as_lists_or_lack_their_end() -> None:
    first, second = call("{}", index=0)[:2], call('{"b":2}', index=1)[:2]
    first[0]["delta"]["message"]["tool_calls"] = [first[0]["delta"]["message"]["tool_calls"]]
    raw = events(START, first[0], second[0], second[1], first[1], *call(index=2)[:1], end("TOOL_CALL"))

    assert [c["arguments"] for c in Decoded(WIRE, raw).calls] == ["{}", '{"b":2}', "{}"]


def test_the_answer_tools_arguments_are_the_answer() -> None:
    calls = [{"id": "c0", "type": "function", "function": {"name": "answer", "arguments": '{"n":1}'}}]
    choice, facts = whole({"tool_plan": "p", "tool_calls": calls}, "TOOL_CALL", answer_tool="answer")
    decoder = CohereChat().decoder(attempt(WIRE), Prepared("", b"", answer_tool="answer"))
    given = decoder.feed(events(START, *call('{"n"', ":1}", name="answer"), end("TOOL_CALL"))) + decoder.finish()

    assert choice["message"]["content"] == '{"n":1}'
    assert "tool_calls" not in choice["message"]
    assert (facts.finish_reason, facts.native_finish_reason) == ("stop", "TOOL_CALL")
    assert decoder.facts.finish_reason == "stop"
    assert b"tool_calls" not in given
    assert b'"content":"{\\"n\\""' in given


def test_citations_are_annotations_by_address_or_by_name() -> None:
    document = {"type": "document", "id": "doc:0", "document": {"id": "doc:0", "text": "t", "title": "a.txt"}}
    output = {"type": "tool", "id": "f_1:0", "tool_output": {"url": "https://x.test", "title": "X"}}
    bare = {"type": "tool", "id": "f_1:1", "tool_output": {"content": "c"}}
    citations = [
        citation(0, 2, document, output),
        citation(2, 3, bare, type="TEXT_CONTENT", content_index=1),
        citation(0, 1, document, type="PLAN"),
        citation(0, 1, document, type="THINKING_CONTENT"),
        {"start": "0", "end": 1, "sources": [document]},
        citation(0, 1, {"type": "document"}),
    ]
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "abcde"}]
    expected = [
        ("doc:0", "a.txt", 0, 2),
        ("https://x.test", "X", 0, 2),
        ("f_1:1", "f_1:1", 2, 3),
    ]

    choice, _ = whole({"content": blocks, "citations": citations})
    decoded = Decoded(
        WIRE,
        events(
            START,
            content(0, thinking="hm"),
            content(1, text="ab"),
            *map(cite, citations),
            content(1, text="cde"),
            end(),
        ),
    )
    streamed = [annotation for delta in decoded.deltas for annotation in delta.get("annotations", ())]

    for annotations in (choice["message"]["annotations"], streamed):
        assert all(a["type"] == "url_citation" for a in annotations)
        assert [
            (
                a["url_citation"]["url"],
                a["url_citation"]["title"],
                *(a["url_citation"][k] for k in ("start_index", "end_index")),
            )
            for a in annotations
        ] == expected


def test_citations_of_a_later_block_count_from_the_whole_text() -> None:
    source = {"type": "document", "id": "d"}
    blocks = [{"type": "text", "text": "abc"}, {"type": "text", "text": "de"}]

    choice, _ = whole({"content": blocks, "citations": [citation(0, 2, source, content_index=1)]})

    found = choice["message"]["annotations"][0]["url_citation"]
    assert choice["message"]["content"][found["start_index"] : found["end_index"]] == "de"


def test_log_probabilities_are_chats() -> None:
    item = {"text": "ab", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}
    expected = {
        "content": [{"token": "ab", "logprob": -0.75, "bytes": [97, 98], "top_logprobs": []}],
        "refusal": None,
    }

    choice, _ = whole({"content": [{"type": "text", "text": "ab"}]}, logprobs=[item, {"text": 1}])
    decoded = Decoded(WIRE, events(START, content(0, text="ab", logprobs=item), end()))

    assert choice["logprobs"] == expected
    assert (
        decoded.chunks[0 if "content" in decoded.deltas[0] and decoded.deltas[0]["content"] else 1]["choices"][0][
            "logprobs"
        ]
        == expected
    )


def test_content_may_be_a_bare_string_and_unknown_blocks_have_no_form() -> None:
    assert whole({"content": "a"})[0]["message"]["content"] == "a"
    assert (
        whole({"content": [{"type": "odd", "text": "x"}, {"type": "text", "text": "b"}]})[0]["message"]["content"]
        == "b"
    )


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b'{"id":"x","message":"invalid api token"}', "authentication"),
        (498, b'{"message":"blocked input: please contact support"}', "content_policy"),
        (498, b'{"message":"invalid api token"}', "authentication"),
        (
            400,
            b'{"message":"too many tokens: size limit exceeded by 11 tokens","error_type":"TOO_MANY_TOKENS"}',
            "context_length_exceeded",
        ),
        (400, b'{"id":"x","message":"x","error_type":"TOO_MANY_TOKENS"}', "context_length_exceeded"),
        (404, b'{"message":"model \'x\' not found, make sure the correct model ID was used"}', "not_found"),
        (400, b'{"message":"invalid request: model \'command-r\' is not supported by the generate API"}', "not_found"),
        (422, b'{"message":"invalid field"}', "invalid_request"),
        (429, b'{"message":"You are using a Trial key, which is limited to 20 API calls / minute."}', "rate_limited"),
        (499, b'{"message":"request cancelled"}', "upstream"),
        (503, b'{"message":"x"}', "overloaded"),
        (504, b'{"message":"x"}', "timeout"),
    ],
)
def test_the_providers_statuses_have_their_classes(status: int, body: bytes, expected: str) -> None:
    failure = CohereChat().failure(status, {}, body, 0)

    assert (failure.failure_class, failure.status) == (expected, status)
    assert failure.message

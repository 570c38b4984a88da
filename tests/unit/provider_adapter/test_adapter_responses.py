"""What Responses has that the conformance suite does not ask of every format."""

from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_responses.protocol import OpenAiResponses
from services.provider_adapter.protocols.port import Attempt, Prepared
from tests.testkit.provider_conformance import Decoded, attempt
from tests.testkit.provider_wires import data
from tests.testkit.provider_wires_responses import OpenAiResponsesWire

WIRE = OpenAiResponsesWire()
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def asked(
    model: str = "gpt-5.4", dialect: str = "", attempt_fields: dict[str, Any] | None = None, **fields: Any
) -> Any:
    body = {"model": "maker/model", "messages": [{"role": "user", "content": "hi"}], **fields}
    changes = {"provider_model_id": model, "body": orjson.dumps(body), **(attempt_fields or {})}
    return orjson.loads(OpenAiResponses().prepare(attempt(WIRE, **changes), dialect).body)


def of(*messages: Any) -> Any:
    return asked(messages=list(messages))["input"]


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def test_system_messages_that_come_first_are_instructions_and_later_ones_stay_in_place() -> None:
    body = asked(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "hi"},
            {"role": "system", "content": "Now be long."},
        ]
    )

    assert body["instructions"] == "Be brief.\n\nBe kind."
    assert [item["role"] for item in body["input"]] == ["user", "system"]
    assert body["store"] is False
    xai = asked("grok-4.3", "xai", messages=[{"role": "system", "content": "Be brief."}])
    assert "instructions" not in xai
    assert xai["input"][0]["role"] == "system"


def test_parts_have_their_own_names() -> None:
    (item,) = of(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
                {"type": "file", "file": {"file_data": "https://a.example/b.pdf"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        }
    )

    assert item["content"] == [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://a.example/x.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_file", "file_url": "https://a.example/b.pdf"},
        {"type": "input_file", "file_id": "file-1"},
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {
            "messages": [
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]}
            ]
        },
        {"modalities": ["text", "audio"]},
    ],
)
def test_sound_has_no_form_and_may_be_tried_elsewhere(fields: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        asked(**fields)

    assert caught.value.failure.elsewhere


def test_calls_and_results_are_items_and_every_call_is_answered() -> None:
    items = of(
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "Well.",
            "tool_calls": [call("a", '{"n": 1}'), call("b", " "), call("x" * 70)],
        },
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "one"}]},
        {"role": "tool", "tool_call_id": "x" * 70, "content": "three"},
        {"role": "user", "content": "on"},
    )

    assert [item["type"] for item in items] == ["message", "message", *["function_call"] * 3, *["function_call_output"] * 3, "message"]  # fmt: skip
    assert items[1]["content"] == [{"type": "output_text", "text": "Well."}]
    assert [item.get("arguments") for item in items[2:5]] == ['{"n": 1}', "{}", "{}"]
    assert items[5] == {"type": "function_call_output", "call_id": "b", "output": "No result was given."}
    assert items[6]["output"] == "one"
    assert items[7]["call_id"] == items[4]["call_id"]
    assert len(items[7]["call_id"]) <= 64


def test_custom_tools_go_both_ways() -> None:
    custom = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}}
    body = asked(
        messages=[
            {"role": "assistant", "tool_calls": [custom]},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
        ],
        tools=[{"type": "custom", "custom": {"name": "sql", "format": grammar}}],
    )
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "sql", "input": ""}
    said = Decoded(
        WIRE,
        b"".join(
            map(
                data,
                [
                    {"type": "response.output_item.added", "output_index": 0, "item": item},
                    {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "select 1"},
                    {"type": "response.output_item.done", "output_index": 0, "item": item | {"input": "select 1"}},
                    {"type": "response.completed", "response": {"status": "completed", "output": []}},
                ],
            )
        ),
    )

    assert [item["type"] for item in body["input"]] == ["custom_tool_call", "custom_tool_call_output"]
    assert body["tools"] == [
        {"type": "custom", "name": "sql", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}}
    ]
    pieces = [delta["tool_calls"][0] for delta in said.deltas if "tool_calls" in delta]
    assert pieces[0]["type"] == "custom"
    assert "".join(piece["custom"]["input"] for piece in pieces) == "select 1"
    assert said.facts.finish_reason == "tool_calls"


def thought(item_id: str, index: int, encrypted: str = "c2ln") -> list[dict[str, Any]]:
    shared = {"format": "openai-responses-v1", "id": item_id, "index": index}
    return [
        {"type": "reasoning.summary", "summary": "Hm", **shared},
        {"type": "reasoning.summary", "summary": ".", **shared},
        {"type": "reasoning.encrypted", "data": encrypted, **shared},
    ]


def test_reasoning_goes_back_as_items_before_what_they_led_to() -> None:
    details = [*thought("rs_1", 0), *thought("rs_2", 2)]
    items = of(
        {"role": "assistant", "content": None, "reasoning_details": details, "tool_calls": [call("a"), call("b")]}
    )

    assert [(item["type"], item.get("id") or item.get("call_id")) for item in items[:4]] == [
        ("reasoning", "rs_1"),
        ("function_call", "a"),
        ("reasoning", "rs_2"),
        ("function_call", "b"),
    ]
    assert items[0] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "c2ln",
    }


def test_reasoning_that_cannot_be_recognised_stays_here() -> None:
    """Without its encrypted content, of another format, or with nothing that it led to."""
    foreign = [{"type": "reasoning.encrypted", "data": "x", "format": "anthropic-claude-v1"}]
    plain = [detail for detail in thought("rs_1", 0) if "data" not in detail]

    assert [i["type"] for i in of({"role": "assistant", "content": "a", "reasoning_details": foreign})] == ["message"]
    assert [i["type"] for i in of({"role": "assistant", "content": "a", "reasoning_details": plain})] == ["message"]
    assert of({"role": "assistant", "content": "", "reasoning_details": thought("rs_1", 0)}) == []


def test_what_the_openai_library_makes_of_streamed_details_is_understood() -> None:
    """It joins details of one index, text by text."""
    merged = {
        "type": "reasoning.encrypted",
        "summary": "Hm.",
        "data": "c2ln",
        "format": "openai-responses-v1" * 3,
        "id": "rs_1rs_1rs_1",
        "index": 0,
    }
    items = of({"role": "assistant", "content": "a", "reasoning_details": [merged]})

    assert items[0]["id"] == "rs_1"
    assert items[0]["encrypted_content"] == "c2ln"


def test_parameters_without_a_form_stay_here_and_the_others_move() -> None:
    body = asked(
        "gpt-4.1",
        temperature=0.5,
        top_p=0.9,
        logprobs=True,
        top_logprobs=3,
        max_tokens=40,
        stop=["x"],
        seed=1,
        n=2,
        presence_penalty=1,
        logit_bias={"1": 2},
        verbosity="low",
        service_tier="fast",
        prompt_cache_key="k",
        some_vendors_extra=1,
        attempt_fields={"user_hash": "h4sh", "max_tokens": 30},
    )

    assert body == {
        "model": "gpt-4.1",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "max_output_tokens": 30,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 3,
        "include": ["message.output_text.logprobs"],
        "text": {"verbosity": "low"},
        "service_tier": "priority",
        "prompt_cache_key": "k",
        "user": "h4sh",
        "store": False,
        "stream": True,
    }


def test_tools_are_flat_and_say_whether_they_are_strict() -> None:
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": CITY, "strict": True}},
        {"type": "function", "function": {"name": "g"}},
        {
            "type": "function",
            "function": {"name": "h", "strict": True, "parameters": {"type": "object", "properties": {}}},
        },
    ]
    body = asked(tools=tools, tool_choice={"type": "function", "function": {"name": "f"}}, parallel_tool_calls=False)

    assert body["tools"] == [
        {"type": "function", "name": "f", "description": "d", "parameters": CITY, "strict": True},
        {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": False},
        {"type": "function", "name": "h", "parameters": {"type": "object", "properties": {}}, "strict": False},
    ]
    assert body["tool_choice"] == {"type": "function", "name": "f"}
    assert body["parallel_tool_calls"] is False
    assert "tool_choice" not in asked(tool_choice="auto")


def test_structured_output_is_a_format_of_the_text() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": CITY}}

    assert asked(response_format=wanted)["text"]["format"] == {
        "type": "json_schema",
        "name": "answer",
        "schema": CITY,
        "strict": True,
    }
    assert asked(response_format={"type": "json_object"})["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("gpt-5.4", {"reasoning": {"effort": "high"}}, {"effort": "high", "summary": "auto"}),
        ("gpt-5.4", {"reasoning": {"enabled": False}}, {"effort": "none"}),
        ("gpt-5", {"reasoning": {"effort": "none"}}, {"effort": "minimal"}),
        ("o3", {"reasoning_effort": "xhigh"}, {"effort": "high", "summary": "auto"}),
        ("gpt-5-pro", {"reasoning": {"effort": "low", "exclude": True}}, {"effort": "high"}),
        ("gpt-5.4", {"reasoning": {"max_tokens": 100}, "max_tokens": 1000}, {"effort": "low", "summary": "auto"}),
        ("gpt-5.4", {}, None),
        ("gpt-4.1", {"reasoning": {"effort": "high"}}, None),
        ("somebody/else", {"reasoning": {"effort": "xhigh"}}, {"effort": "xhigh", "summary": "auto"}),
    ],
)
def test_reasoning_is_asked_for_in_levels_that_the_model_has(model: str, fields: dict[str, Any], expected: Any) -> None:
    body = asked(model, **fields)

    assert body.get("reasoning") == expected
    assert ("reasoning.encrypted_content" in body.get("include", [])) == (model != "gpt-4.1")


def test_a_model_that_thinks_is_not_sent_what_it_refuses() -> None:
    assert "temperature" not in asked("gpt-5", temperature=0.5)
    assert asked("gpt-5.4", temperature=0.5)["temperature"] == 0.5
    assert "temperature" not in asked("gpt-5.4", temperature=0.5, reasoning={"effort": "low"})


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(map(data, values))


END = {"type": "response.completed", "response": {"status": "completed", "output": []}}


def test_an_error_event_and_the_failed_response_after_it_have_the_class_of_their_code() -> None:
    limit = {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None}
    nested = {"type": "error", "error": {"type": "too_many_requests", "code": "rate_limit_exceeded", "message": "slow"}}
    azures = {"type": "error", "error": {"type": "too_many_requests", "code": "too_many_requests", "message": "slow"}}
    nameless = {"type": "error", "error": {"type": "server_error", "code": None, "message": "Sorry."}}
    filtered = {"code": "content_filter", "message": "no"}
    error = {"code": "server_error", "message": "boom"}
    failed = {"type": "response.failed", "response": {"status": "failed", "error": error}}

    for raw, expected in (
        (events(limit, failed), FailureClass.RATE_LIMITED),
        (events(nested), FailureClass.RATE_LIMITED),
        (events(failed), FailureClass.UPSTREAM),
        (events(azures), FailureClass.RATE_LIMITED),
        (events(nameless), FailureClass.UPSTREAM),
        (events({"type": "response.failed", "response": {"error": filtered}}), FailureClass.CONTENT_POLICY),
    ):
        failure = Decoded(WIRE, raw).failure
        assert failure is not None
        assert failure.failure_class is expected


def test_a_failed_or_cancelled_response_is_no_reply() -> None:
    for response in (
        {"status": "failed", "error": {"code": "server_error", "message": "boom"}, "output": []},
        {"status": "cancelled", "output": []},
    ):
        with pytest.raises(ProviderFailedError):
            OpenAiResponses().whole(attempt(WIRE), Prepared("", b""), orjson.dumps(response))


def test_items_that_came_without_deltas_are_said_at_their_end() -> None:
    message = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}
    function = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
    done = [
        {"type": "response.output_item.done", "output_index": i, "item": x} for i, x in enumerate((message, function))
    ]
    ended = {"type": "response.completed", "response": {"status": "completed", "output": [message, function]}}

    for raw in (events(*done, ended), events(ended)):
        said = Decoded(WIRE, raw)
        assert said.joined("content") == "Hello"
        assert [(one["id"], one["arguments"]) for one in said.calls] == [("c", '{"a":1}')]
        assert said.facts.finish_reason == "tool_calls"


def test_citations_refusals_images_and_logprobs_have_chats_shapes() -> None:
    citation = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
    image = {"type": "image_generation_call", "id": "ig", "result": "AAAA", "output_format": "webp"}
    logprob = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    part = {"type": "output_text", "text": "Hi", "annotations": [citation], "logprobs": [logprob]}
    message = {"type": "message", "id": "m", "content": [part, {"type": "refusal", "refusal": "No."}]}
    response = {"id": "r", "status": "completed", "output": [message, image]}
    delta = {"output_index": 0, "content_index": 0}
    prepared = Prepared("", b'{"include":["message.output_text.logprobs"]}')

    raw, _ = OpenAiResponses().whole(attempt(WIRE), prepared, orjson.dumps(response))
    choice = orjson.loads(raw)["choices"][0]
    decoder = OpenAiResponses().decoder(attempt(WIRE), prepared)
    given = decoder.feed(
        events(
            {"type": "response.output_text.delta", **delta, "delta": "Hi", "logprobs": [logprob]},
            {"type": "response.output_text.annotation.added", **delta, "annotation": citation},
            {"type": "response.refusal.delta", **delta, "delta": "No."},
            {"type": "response.output_item.done", "output_index": 0, "item": message},
            {"type": "response.output_item.done", "output_index": 1, "item": image},
            {"type": "response.completed", "response": response},
        )
    )
    chunks = [orjson.loads(line[6:])["choices"][0] for line in given.splitlines() if line.startswith(b"data: {")]

    expected = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "content": "", "start_index": 0, "end_index": 2}}  # fmt: skip
    picture = [{"type": "image_url", "image_url": {"url": "data:image/webp;base64,AAAA"}}]
    assert choice["message"]["annotations"] == [expected]
    assert choice["message"]["refusal"] == "No."
    assert choice["message"]["images"] == picture
    assert choice["logprobs"]["content"] == [logprob]
    assert chunks[0]["logprobs"]["content"] == [logprob]
    deltas = [chunk["delta"] for chunk in chunks]
    assert [d["annotations"] for d in deltas if "annotations" in d] == [[expected]]
    assert [d["refusal"] for d in deltas if "refusal" in d] == ["No."]
    assert [d["images"] for d in deltas if "images" in d] == [picture]


def test_several_summaries_stand_apart_and_thoughts_themselves_go_before_them() -> None:
    at = {"output_index": 0, "item_id": "rs_1"}
    two = Decoded(
        WIRE,
        events(
            {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0, "delta": "First"},
            {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 1, "delta": "Then"},
            END,
        ),
    )
    own = Decoded(
        WIRE,
        events(
            {"type": "response.reasoning_text.delta", **at, "content_index": 0, "delta": "I think"},
            {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0, "delta": "It thought"},
            END,
        ),
    )

    assert two.joined("reasoning") == "First\n\nThen"
    assert own.joined("reasoning") == "I think"


def test_a_reply_that_broke_off_for_no_known_reason_has_no_finish_reason() -> None:
    said = Decoded(WIRE, events({"type": "response.incomplete", "response": {"status": "incomplete", "output": []}}))

    assert said.failure is None
    assert said.facts.finish_reason == ""


def test_the_service_tier_is_in_the_last_chunk() -> None:
    said = Decoded(WIRE, events({"type": "response.output_text.delta", "output_index": 0, "delta": "a"}, {**END, "response": {**END["response"], "service_tier": "flex"}}))  # type: ignore[dict-item]  # fmt: skip

    assert said.chunks[-1]["service_tier"] == "flex"
    assert said.facts.service_tier == "flex"


def test_the_key_is_a_bearer() -> None:
    assert OpenAiResponses().headers("k") == {"Authorization": "Bearer k"}
    assert isinstance(attempt(WIRE), Attempt)

"""What the strict validators of Cohere's routes refuse, and what they let pass."""

from typing import Any

import pytest

from services.provider_simulator.protocols.cohere.chat_validation import check_chat
from services.provider_simulator.protocols.strict import InvalidError

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
CALL = {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": None}}
CALLING = {"role": "assistant", "tool_plan": "I will.", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "f_1", "content": [{"type": "document", "document": {"data": {"x": 1}}}]}


def user(content: Any = "hi") -> dict[str, Any]:
    return {"role": "user", "content": content}


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or [user()], **fields}


def answer(schema: Any) -> dict[str, Any]:
    return asked(response_format={"type": "json_object", "json_schema": schema})


@pytest.mark.parametrize(
    "body",
    [
        asked(),
        asked({"role": "system", "content": [{"type": "text", "text": "s"}]}, user(), stream=False, priority=0),
        asked(user(), CALLING, RESULT, user("and?"), tools=[TOOL], tool_choice="NONE", strict_tools=True),
        asked(user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}])),
        asked(user(), {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}], "citations": []}),
        asked(documents=["a", {"id": "d", "data": {"text": "b"}}], citation_options={"mode": "FAST"}),
        asked(temperature=0, p=0.99, k=0, seed=0, frequency_penalty=0, presence_penalty=1, stop_sequences=["x"] * 5),
        asked(thinking={"type": "enabled", "token_budget": 1}, max_tokens=1, logprobs=True, safety_mode="OFF"),
        answer({**SCHEMA, "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}),
    ],
)
def test_a_good_chat_request_passes(body: dict[str, Any]) -> None:
    check_chat(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "m"}, "Field required"),
        (asked(top_p=1), "Extra inputs"),
        (asked(temperature=1.5), "from 0 to 1"),
        (asked(p=1), "from 0.01 to 0.99"),
        (asked(k=501), "from 0 to 500"),
        (asked(frequency_penalty=-1), "from 0 to 1"),
        (asked(frequency_penalty=1, presence_penalty=1), "only one of"),
        (asked(stop_sequences=["x"] * 6), "from 0 to 5"),
        (asked(tool_choice="auto", tools=[TOOL]), "one of REQUIRED, NONE"),
        (asked(tool_choice="NONE"), "without tools"),
        (asked(tools=[]), "from 1"),
        (asked(tools=[TOOL, TOOL]), "unique"),
        (asked(tools=[{"type": "function", "function": {"name": "f"}}]), "Field required"),
        (asked(tools=[{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}], strict_tools=True), "at least one required"),
        (asked(user("") ), "empty"),
        (asked(user([])), "from 1"),
        (asked(user([{"type": "input_audio"}])), "Input tag"),
        (asked(user([{"type": "image_url", "image_url": {"url": "file:///x"}}])), "data uri"),
        (asked({"role": "developer", "content": "x"}), "Input tag"),
        (asked(user(), {"role": "system", "content": "x"}), "must be the first"),
        (asked(user(), {"role": "assistant"}), "must not be empty"),
        (asked(user(), CALLING, tools=[TOOL]), "missing tool results"),
        (asked(user(), CALLING, user(), RESULT, tools=[TOOL]), "missing tool results"),
        (asked(user(), RESULT, tools=[TOOL]), "not found in previous"),
        (asked(tools=[TOOL], response_format={"type": "json_object"}), "not supported with tools"),
        (asked(documents=["a"], response_format={"type": "json_object"}), "not supported with documents"),
        (asked(tools=[TOOL], safety_mode="STRICT"), "not supported with tools"),
        (asked(thinking={"type": "enabled", "token_budget": 0}), "from 1"),
        (asked(response_format={"type": "json_schema"}), "Input tag"),
        (answer({"type": "array"}), "must be 'object'"),
        (answer({"type": "object"}), "at least one required"),
        (answer({**SCHEMA, "properties": {"a": {"type": "object", "properties": {"b": {}}}}}), "at least one required"),
        (answer({**SCHEMA, "properties": {"a": {"type": "integer", "minimum": 1}}}), "unsupported schema feature"),
        (answer({**SCHEMA, "properties": {"a": {"type": "string", "format": "email"}}}), "unsupported format"),
    ],
)  # fmt: skip
def test_a_bad_chat_request_is_refused_where_it_is_bad(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        check_chat(body)

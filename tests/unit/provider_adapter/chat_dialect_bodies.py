"""What a host of the chat format is sent, and what is made of its answers, for tests of dialects."""

from typing import Any

import orjson

from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.port import Prepared
from tests.testkit.provider_conformance import attempt
from tests.testkit.provider_wires import OpenAiChatWire, data

WIRE = OpenAiChatWire()
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def sent(dialect: str, model: str = "some-model", *, stream: bool = True, **fields: Any) -> Any:
    body = {"model": "maker/model", "messages": [{"role": "user", "content": "hi"}], **fields}
    asked = attempt(WIRE, provider_model_id=model, body=orjson.dumps(body), stream=stream)
    return orjson.loads(OpenAiChat().prepare(asked, dialect).body)


def messages(dialect: str, *given: Any, model: str = "some-model") -> Any:
    return sent(dialect, model, messages=list(given))["messages"]


def call(call_id: str, arguments: Any = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


class Streamed:
    """A stream of a host, decoded, byte by byte and at once alike."""

    def __init__(self, *events: Any, dialect: str = "", model: str = "some-model", done: bool = True) -> None:
        raw = b"".join(data(event) for event in events) + (b"data: [DONE]\n\n" if done else b"")
        outcomes = []
        for step in (1, len(raw)):
            decoder = OpenAiChat().decoder(attempt(WIRE, provider_model_id=model), Prepared("", b"", dialect=dialect))
            given = b"".join(decoder.feed(raw[place : place + step]) for place in range(0, len(raw), step))
            given += decoder.finish()
            outcomes.append((given, decoder.failure))
        self.failure = decoder.failure
        self.facts = decoder.facts
        self.choices = [orjson.loads(line[6:])["choices"][0] for line in given.splitlines() if line]
        self.deltas = [choice["delta"] for choice in self.choices]
        self.calls = [fragment for delta in self.deltas for fragment in delta.get("tool_calls", ())]
        if not any("id" in str(fragment) and "call_" in str(fragment.get("id")) for fragment in self.calls):
            assert outcomes[0] == outcomes[1]

    def joined(self, name: str) -> str:
        return "".join(delta.get(name) or "" for delta in self.deltas)


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "up-1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def whole(message: dict[str, Any], *, dialect: str = "", model: str = "m", finish: Any = "stop", **fields: Any) -> Any:
    reply = {"id": "up-1", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **fields}
    raw, facts = OpenAiChat().whole(
        attempt(WIRE, provider_model_id=model), Prepared("", b"", dialect=dialect), orjson.dumps(reply)
    )
    return orjson.loads(raw)["choices"][0], facts


# OpenAI

"""Replies in the bytes of OpenAI's Responses, written from its documentation and not by our code."""

from typing import Any, ClassVar

import orjson

from services.provider_adapter.protocols.openai_responses.protocol import OpenAiResponses
from services.provider_adapter.protocols.port import Usage, WireProtocol
from tests.testkit.provider_wires import Reply, data, pieces, text


class OpenAiResponsesWire:
    protocol: WireProtocol = OpenAiResponses()
    model = "gpt-5.4"
    native_ends: ClassVar[dict[str, str]] = {
        "stop": "completed",
        "length": "max_output_tokens",
        "tool_calls": "completed",
        "content_filter": "content_filter",
    }
    usage = Usage(10, 6, cache_read_tokens=4, reasoning_tokens=2)
    signs = True
    _usage: ClassVar[dict[str, Any]] = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }

    def stream(self, reply: Reply) -> bytes:
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": self._response([], "in_progress")},
        ]
        items = self._items(reply)
        for index, item in enumerate(items):
            events += [{**event, "output_index": index} for event in self._streamed(item, reply)]
        end = "completed" if self.native_ends[reply.end] == "completed" else "incomplete"
        events.append({"type": f"response.{end}", "response": self._ended(items, reply)})
        return b"".join(
            b"event: " + event["type"].encode() + b"\n" + data({**event, "sequence_number": number})
            for number, event in enumerate(events)
        )

    def _streamed(self, item: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
        begun, deltas = dict(item), []
        at: dict[str, Any] = {"item_id": item["id"]}
        if item["type"] == "message":
            begun |= {"content": [], "status": "in_progress"}
            deltas += [
                {"type": "response.output_text.delta", **at, "content_index": 0, "delta": word} for word in reply.words
            ]
        elif item["type"] == "reasoning":
            begun |= {"summary": [], "encrypted_content": None}
            at["summary_index"] = 0
            for thought in reply.thoughts:
                deltas.append({"type": "response.reasoning_summary_text.delta", **at, "delta": thought})
        else:
            begun |= {"arguments": "", "status": "in_progress"}
            call = next(call for call in reply.calls if call.name == item["name"])
            deltas = [
                {"type": "response.function_call_arguments.delta", **at, "delta": piece} for piece in pieces(call)
            ]
            deltas.append({"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]})
        added = {"type": "response.output_item.added", "item": begun}
        return [added, *deltas, {"type": "response.output_item.done", "item": item}]

    def _items(self, reply: Reply) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if reply.thoughts:
            summary = [{"type": "summary_text", "text": "".join(reply.thoughts)}]
            items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "c2ln"})
        if reply.words:
            part = {"type": "output_text", "text": "".join(reply.words), "annotations": [], "logprobs": []}
            message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
            items.append(message)
        for place, call in enumerate(reply.calls):
            items.append(
                {
                    "id": f"fc_{place}",
                    "type": "function_call",
                    "call_id": f"c{place}",
                    "name": call.name,
                    "arguments": text(call),
                    "status": "completed",
                }
            )
        return items

    def _response(self, items: list[dict[str, Any]], status: str, **fields: Any) -> dict[str, Any]:
        response = {"id": "up-1", "object": "response", "status": status, "error": None, "incomplete_details": None}
        return {**response, "output": items, "usage": None, **fields}

    def _ended(self, items: list[dict[str, Any]], reply: Reply) -> dict[str, Any]:
        native = self.native_ends[reply.end]
        if native == "completed":
            return self._response(items, "completed", usage=self._usage)
        return self._response(items, "incomplete", usage=self._usage, incomplete_details={"reason": native})

    def whole(self, reply: Reply) -> bytes:
        return orjson.dumps(self._ended(self._items(reply), reply))

    def noise(self) -> bytes:
        return (
            b'event: keepalive\ndata: {"type":"keepalive"}\n\n: comment\n\ndata: {"type":"response.of_the_future"}\n\n'
        )

    def error_event(self) -> bytes:
        return b"event: error\n" + data({"type": "error", "code": "server_error", "message": "boom", "param": None})

    def error(self, status: int, message: str) -> bytes:
        return orjson.dumps({"error": {"message": message, "type": "some_error", "param": None, "code": None}})

"""A streamed Cohere reply, from the provider's events to chat's chunks.

Owns what each event means. Framing, holding back and the role are `translated.py`'s. Invariant: a call's slot counts
the caller's calls alone, and its arguments are an object when it ends; an event of an unknown kind changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from services.provider_adapter.protocols.cohere.errors import failure_of_event, failure_of_finish, is_error
from services.provider_adapter.protocols.cohere.response import (
    NO_ARGUMENTS,
    annotations_of,
    arguments_of,
    finish_of,
    logprobs_of,
    plan_detail,
    thought_detail,
)
from services.provider_adapter.protocols.cohere.usage import usage_of
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.translated import TranslatedStream, broken_reply, label

_MOST_BLOCKS = 1_024
_MOST_CITATIONS = 1_024
_NULL = "null"


class _Call:
    """A call on its way.

    Attributes:
        slot: its index among the caller's calls; -1: the answer tool's.
        held: arguments that may yet turn out to be null.
    """

    __slots__ = ("held", "slot", "written")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.held = ""
        self.written = False


class ChatStreamDecoder(TranslatedStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared)
        self._answer_tool = prepared.answer_tool
        self._calls: dict[int, _Call] = {}
        self._slots = 0
        self._details: dict[int, int] = {}
        self._offsets: dict[int, int] = {}
        self._length = 0
        self._citations = 0
        self._answered = False
        self._readers: Mapping[str, Callable[[dict[str, Any]], bytes]] = {
            "message-start": self._begin,
            "content-start": self._add_content,
            "content-delta": self._add_content,
            "tool-plan-delta": self._plan,
            "tool-call-start": self._start_call,
            "tool-call-delta": self._extend_call,
            "tool-call-end": self._stop_call,
            "citation-start": self._cite,
            "message-end": self._end,
        }

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:
        kind = value.get("type")
        if kind == "content-delta":
            return self._add_content(value)
        read = self._readers.get(kind if type(kind) is str else name.decode("ascii", "replace"))
        if read is not None:
            return read(value)
        if kind == "error" or is_error(value):
            raise ProviderFailedError(failure_of_event(value))
        return b""

    def _begin(self, value: dict[str, Any]) -> bytes:
        self.facts.upstream_id = label(value.get("id")) or self.facts.upstream_id
        return self._open()

    def _add_content(self, value: dict[str, Any]) -> bytes:
        content = _message(value).get("content")
        if type(content) is list:
            content = content[0] if content else None
        if type(content) is not dict:
            return b""
        index = _index(value)
        text = content.get("text")
        if text is None:
            return self._think(index, content.get("thinking"))
        if type(text) is not str:
            raise broken_reply("A delta's text is no text.")
        if index not in self._offsets:
            self._note_block(self._offsets, index, self._length)
        if not text:
            return b""
        self._length += len(text)
        entries = logprobs_of(value.get("logprobs"))
        if entries:
            return self._delta({"content": text}, logprobs={"content": entries, "refusal": None})
        return self._text(text)

    def _think(self, index: int, text: Any) -> bytes:
        if type(text) is not str or not text:
            return b""
        detail = thought_detail(self._detail(index), text)
        return self._delta({"reasoning": text, "reasoning_details": [detail]})

    def _plan(self, value: dict[str, Any]) -> bytes:
        text = _message(value).get("tool_plan")
        if type(text) is not str or not text:
            return b""
        return self._delta({"reasoning": text, "reasoning_details": [plan_detail(self._detail(-1), text)]})

    def _start_call(self, value: dict[str, Any]) -> bytes:
        given = _call_in(value)
        function = given.get("function")
        if type(function) is not dict:
            raise broken_reply("A call holds no function.")
        before = self._end_call(self._calls.pop(_index(value), None))
        if self._answer_tool and function.get("name") == self._answer_tool:
            self._answered = True
            call, said = _Call(-1), b""
        else:
            call = _Call(self._slots)
            self._slots += 1
            named = {"name": label(function.get("name")), "arguments": ""}
            opened = {"index": call.slot, "id": label(given.get("id")), "type": "function", "function": named}
            said = self._delta({"tool_calls": [opened]})
        self._note_block(self._calls, _index(value), call)
        return before + said + self._argue(call, function.get("arguments"))

    def _extend_call(self, value: dict[str, Any]) -> bytes:
        call = self._calls.get(_index(value))
        function = _call_in(value).get("function")
        if call is None or type(function) is not dict:
            return b""
        return self._argue(call, function.get("arguments"))

    def _argue(self, call: _Call, given: Any) -> bytes:
        if given is None:
            return b""
        text = given if type(given) is str else arguments_of(given)
        if not call.written:
            call.held += text
            if _NULL.startswith(call.held.strip()):
                return b""
            text, call.held = call.held, ""
        return self._write_arguments(call, text)

    def _stop_call(self, value: dict[str, Any]) -> bytes:
        return self._end_call(self._calls.pop(_index(value), None))

    def _end_call(self, call: _Call | None) -> bytes:
        if call is None or call.written:
            return b""
        # A call without arguments has no deltas, or null, and yet its arguments are an object.
        return self._write_arguments(call, NO_ARGUMENTS if call.held.strip() in {"", _NULL} else call.held)

    def _write_arguments(self, call: _Call, text: str) -> bytes:
        if not text:
            return b""
        call.written = True
        if call.slot < 0:
            self._length += len(text)
            return self._text(text)
        return self._delta({"tool_calls": [{"index": call.slot, "function": {"arguments": text}}]})

    def _cite(self, value: dict[str, Any]) -> bytes:
        citations = _message(value).get("citations")
        listed = citations if type(citations) is list else [citations]
        room = _MOST_CITATIONS - self._citations
        self._citations += len(listed)
        annotations = [found for one in listed[: max(room, 0)] for found in annotations_of(one, self._offsets)]
        return self._delta({"annotations": annotations}) if annotations else b""

    def _end(self, value: dict[str, Any]) -> bytes:
        delta = value.get("delta")
        if type(delta) is not dict:
            return b""
        self.facts.usage = usage_of(delta.get("usage")) or self.facts.usage
        finish, native = finish_of(delta.get("finish_reason"), called=self._slots > 0, answered=self._answered)
        complaint = delta.get("error")
        if complaint or (finish == "error" and not self.facts.has_content):
            raise ProviderFailedError(failure_of_finish(native or "ERROR", complaint if type(complaint) is str else ""))
        ended = b"".join([self._end_call(call) for call in self._calls.values()])
        self._calls.clear()
        return ended + self._finish(finish, native) if finish else ended

    def _detail(self, block: int) -> int:
        """The index of a thought's details; -1 is the plan."""
        if block not in self._details:
            self._note_block(self._details, block, len(self._details))
        return self._details[block]

    def _note_block(self, blocks: dict[int, Any], index: int, noted: Any) -> None:
        if len(blocks) >= _MOST_BLOCKS:
            raise broken_reply("The provider sent too many blocks.")
        blocks[index] = noted


def _message(value: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = value.get("delta")
    message = delta.get("message") if type(delta) is dict else None
    return message if type(message) is dict else {}


def _call_in(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The call of an event; described as a list, sent as an object."""
    calls = _message(value).get("tool_calls")
    if type(calls) is list:
        calls = calls[0] if calls else None
    return calls if type(calls) is dict else {}


def _index(value: Mapping[str, Any]) -> int:
    index = value.get("index")
    return index if type(index) is int else 0

"""A streamed Responses reply, from the provider's events to chat's chunks.

Owns what each event means. Framing, holding back and the role are `translated.py`'s. Invariant: what an item says goes
out once, whether it came in deltas, in the end of the item, or in the end of the response alone.
"""

from typing import Any

from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_responses.errors import failure_of_error
from services.provider_adapter.protocols.openai_responses.response import (
    BETWEEN_SUMMARIES,
    annotation_of,
    annotations_in,
    call_of,
    check_response,
    detail,
    encrypted_in,
    finish_of,
    image_in,
    logprobs_of,
    note_response,
    texts_in,
)
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.translated import TranslatedStream, broken_reply, label

_MOST_ITEMS = 4_096
_BEGINNINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.done"})
_FAILURES = frozenset({"response.failed", "response.cancelled", "error"})
_INPUTS = {"function": "arguments", "custom": "input"}


class _Item:
    """An item on its way.

    Attributes:
        call: of a call, its kind.
        slot: of a call, its index among the calls.
        spoke: the kinds of deltas that have come.
        summary: the part of the summary that is being written.
    """

    __slots__ = ("call", "done", "id", "slot", "spoke", "summary")

    def __init__(self) -> None:
        self.id = ""
        self.call = ""
        self.slot = 0
        self.spoke: set[str] = set()
        self.summary: Any = None
        self.done = False


class ResponsesStreamDecoder(TranslatedStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared)
        self._items: dict[int, _Item] = {}
        self._calls = 0
        self._with_logprobs = b"output_text.logprobs" in prepared.body

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:
        kind = value.get("type")
        if kind == "response.output_text.delta":
            return self._take_text(value)
        if type(kind) is not str:
            kind = ""
        if kind.endswith(".delta"):
            return self._go_on(kind, value)
        if kind == "response.output_item.added":
            return self._start(value)
        if kind == "response.output_item.done":
            return self._finish_item(_index(value), value.get("item"))
        if kind == "response.output_text.annotation.added":
            return self._annotate(value)
        return self._go_through(kind, name, value)

    def _go_through(self, kind: str, name: bytes, value: dict[str, Any]) -> bytes:
        """Events of the response as a whole."""
        if kind in _BEGINNINGS:
            return self._begin(value.get("response"))
        if kind in _ENDS:
            return self._end(value.get("response"))
        if kind in _FAILURES or name == b"error" or value.get("error"):
            raise ProviderFailedError(failure_of_error(value))
        return b""

    def _begin(self, response: Any) -> bytes:
        if type(response) is not dict:
            raise broken_reply("The response is no object.")
        check_response(response)
        note_response(self.facts, response)
        return self._open()

    def _end(self, response: Any) -> bytes:
        if type(response) is not dict:
            raise broken_reply("The response is no object.")
        check_response(response)
        note_response(self.facts, response)
        self._label_tier(label(response.get("service_tier")))
        said = self._finish_items(response.get("output"))
        finish, native = finish_of(response, called=self._calls > 0)
        self.ended = True
        return said + self._finish(finish, native)

    def _finish_items(self, output: Any) -> bytes:
        """What only the end of the response says: of items that have not ended, or all if there were none."""
        given = list(enumerate(output)) if type(output) is list else []
        if self._items:
            waiting = {index for index, item in self._items.items() if not item.done}
            given = [(index, item) for index, item in given if index in waiting]
        return b"".join([self._finish_item(index, item) for index, item in given])

    def _item(self, value: dict[str, Any]) -> _Item:
        return self._item_at(_index(value))

    def _item_at(self, index: int) -> _Item:
        found = self._items.get(index)
        if found is None:
            if len(self._items) >= _MOST_ITEMS:
                raise broken_reply("The provider sent too many items.")
            found = self._items[index] = _Item()
        return found

    def _start(self, value: dict[str, Any]) -> bytes:
        given = value.get("item")
        if type(given) is not dict:
            raise broken_reply("An item is no object.")
        index = _index(value)
        if index in self._items and self._items[index].done:
            # Some hosts give every item the same index.
            del self._items[index]
        item = self._item_at(index)
        item.id = label(given.get("id")) or item.id
        return self._start_call(item, given)

    def _start_call(self, item: _Item, given: dict[str, Any]) -> bytes:
        """The beginning of a call; nothing for any other item, or once it has begun."""
        call = call_of(given)
        if call is None or item.call:
            return b""
        item.call = call["type"]
        item.slot = self._calls
        self._calls += 1
        if call[item.call][_INPUTS[item.call]]:
            item.spoke.add("input")
        return self._delta({"tool_calls": [{"index": item.slot, **call}]})

    def _take_text(self, value: dict[str, Any]) -> bytes:
        text = value.get("delta")
        if type(text) is not str:
            raise broken_reply("A delta's text is no text.")
        self._item(value).spoke.add("text")
        if not text:
            return b""
        logprobs = logprobs_of(value.get("logprobs")) if self._with_logprobs else None
        return self._delta({"content": text}, logprobs=logprobs) if logprobs else self._text(text)

    def _go_on(self, kind: str, value: dict[str, Any]) -> bytes:
        text, item = value.get("delta"), self._item(value)
        if type(text) is not str or not text:
            return b""
        match kind:
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                return self._argue(item, text)
            case "response.reasoning_summary_text.delta" | "response.reasoning_summary.delta":
                return self._summarize(item, _index(value), text, value.get("summary_index"))
            case "response.reasoning_text.delta" | "response.reasoning.delta":
                item.spoke.add("thought")
                details = [detail("text", "text", text, item.id, _index(value))]
                return self._delta({"reasoning": text, "reasoning_details": details})
            case "response.refusal.delta":
                item.spoke.add("refusal")
                return self._delta({"refusal": text})
            case _:
                return b""

    def _argue(self, item: _Item, text: str) -> bytes:
        if not item.call:
            raise broken_reply("A call's input came before the call.")
        item.spoke.add("input")
        return self._delta({"tool_calls": [{"index": item.slot, item.call: {_INPUTS[item.call]: text}}]})

    def _summarize(self, item: _Item, index: int, text: str, part: Any) -> bytes:
        if "summary" in item.spoke and part != item.summary:
            text = BETWEEN_SUMMARIES + text
        item.spoke.add("summary")
        item.summary = part
        details = [detail("summary", "summary", text, item.id, index)]
        # A host that shows the thoughts themselves says nothing new with their summary.
        shown = {} if "thought" in item.spoke else {"reasoning": text}
        return self._delta({**shown, "reasoning_details": details})

    def _annotate(self, value: dict[str, Any]) -> bytes:
        self._item(value).spoke.add("annotation")
        annotation = annotation_of(value.get("annotation"))
        return b"" if annotation is None else self._delta({"annotations": [annotation]})

    def _finish_item(self, index: int, given: Any) -> bytes:
        """Gives out what no delta had said."""
        if type(given) is not dict:
            raise broken_reply("An item is no object.")
        item = self._item_at(index)
        if item.done:
            return b""
        item.done = True
        item.id = label(given.get("id")) or item.id
        match given.get("type"):
            case "message":
                return self._finish_message(item, given.get("content"))
            case "reasoning":
                return self._finish_thought(item, index, given)
            case "function_call" | "custom_tool_call":
                return self._finish_call(item, given)
            case "image_generation_call":
                image = image_in(given)
                return b"" if image is None else self._delta({"images": [image]})
        return b""

    def _finish_message(self, item: _Item, content: Any) -> bytes:
        said = []
        for part in content if type(content) is list else ():
            if type(part) is not dict:
                continue
            text, refusal = part.get("text"), part.get("refusal")
            if part.get("type") == "output_text" and type(text) is str and text and "text" not in item.spoke:
                said.append(self._text(text))
            if type(refusal) is str and refusal and "refusal" not in item.spoke:
                said.append(self._delta({"refusal": refusal}))
            annotations = annotations_in(part) if "annotation" not in item.spoke else []
            if annotations:
                said.append(self._delta({"annotations": annotations}))
        return b"".join(said)

    def _finish_thought(self, item: _Item, index: int, given: dict[str, Any]) -> bytes:
        said = []
        summary, thought = BETWEEN_SUMMARIES.join(texts_in(given, "summary")), "".join(texts_in(given, "content"))
        if thought and "thought" not in item.spoke:
            item.spoke.add("thought")
            details = [detail("text", "text", thought, item.id, index)]
            said.append(self._delta({"reasoning": thought, "reasoning_details": details}))
        if summary and "summary" not in item.spoke:
            said.append(self._summarize(item, index, summary, None))
        encrypted = encrypted_in(given)
        if encrypted:
            said.append(self._delta({"reasoning_details": [detail("encrypted", "data", encrypted, item.id, index)]}))
        return b"".join(said)

    def _finish_call(self, item: _Item, given: dict[str, Any]) -> bytes:
        begun = bool(item.call)
        said = self._start_call(item, given)
        if "input" in item.spoke:
            return said
        call = call_of(given)
        written = (
            call[item.call][_INPUTS[item.call]] if call is not None and begun and item.call == call["type"] else ""
        )
        if not written and item.call == "function":
            # A call without arguments has no deltas, and yet its arguments are an object.
            written = "{}"
        return said + self._argue(item, written) if written else said


def _index(value: dict[str, Any]) -> int:
    index = value.get("output_index")
    return index if type(index) is int else 0

"""A streamed chat reply, from the host's bytes to the finished chunks that clients get.

Owns chunk conversion. Does not read sockets or clocks; a stream's life is `stream_life`'s. Invariant: how the bytes were
split changes neither the chunks nor the facts.

This is the hottest loop of the product: a plain text delta costs one parse, one small dump and one join.
"""

from typing import Any

import orjson

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.calls import CallSlots
from services.provider_adapter.protocols.openai_chat.citations import annotations_of, names_sources
from services.provider_adapter.protocols.openai_chat.dialects import DIALECTS, PLAIN
from services.provider_adapter.protocols.openai_chat.errors import (
    broken,
    broken_within,
    complaint_in_body,
    complaint_of,
)
from services.provider_adapter.protocols.openai_chat.response import (
    chunk_choice,
    dumps_reply,
    failure_in,
    finish_of,
    has_content,
    hide_reasoning,
    normalise,
    note_identity,
    splits_thoughts,
)
from services.provider_adapter.protocols.openai_chat.think_tags import ThinkTags
from services.provider_adapter.protocols.openai_chat.usage import usage_of
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.sse import Event, EventSplitter
from services.provider_adapter.protocols.stream_life import MOST_CHOICES, PLAIN_END, PLAIN_START, StreamLife

_SAID_ALREADY = frozenset({"content", "role"})


class _Choice:
    """What has been seen of one choice."""

    __slots__ = ("calls", "finished", "has_role", "tags")

    def __init__(self, tags: ThinkTags | None) -> None:
        self.has_role = False
        self.calls = CallSlots()
        self.finished = False
        self.tags = tags


class ChatStreamDecoder(StreamLife):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, EventSplitter())
        self._identity: tuple[Any, Any] = (None, None)
        self._choices: dict[int, _Choice] = {}
        self._plain = False
        self._hide_reasoning = prepared.hide_reasoning
        self._ends_unsaid = DIALECTS.get(prepared.dialect, PLAIN).ends_unsaid
        self._splits = splits_thoughts(attempt, prepared)
        self._annotations: list[dict[str, Any]] = []

    def _has_finish(self) -> bool:
        return any(choice.finished for choice in self._choices.values())

    def _end_unsaid(self) -> bytes:
        if not (self._ends_unsaid and self.begun):
            return b""
        ends = [
            self._convert_choice({"index": i, "finish_reason": "stop"})
            for i, c in self._choices.items()
            if not c.finished
        ]
        if 0 in self._choices:
            self.facts.native_finish_reason = self.facts.native_finish_reason or ""
        return b"".join([b"".join((self._prefix, dumps_reply([end]), self._suffix)) for end in ends if end is not None])

    def _convert(self, event: Event) -> bytes:
        """One event as one chunk, or nothing.

        Raises:
            ProviderFailedError: the event is an error or cannot be read.
        """
        name, data = event
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return self._end_or_fail(name, data)
        failure = broken_within(complaint_of(chunk)) if name == b"error" else failure_in(chunk)
        if failure is not None:
            raise ProviderFailedError(failure)
        identity = (chunk.get("system_fingerprint"), chunk.get("service_tier"))
        if identity != self._identity or (not self.facts.upstream_id and chunk.get("id")):
            self._note_identity(identity, chunk)
        if chunk.get("usage") is not None or "x_groq" in chunk:
            self._note_usage(chunk)
        if names_sources(chunk):
            self._annotations = annotations_of(chunk) or self._annotations
        choices = chunk.get("choices")
        if type(choices) is not list or not choices:
            return b""
        if self._plain and len(choices) == 1:
            text = _plain_text(choices[0])
            if text is not None:
                return b"".join((self._prefix, PLAIN_START, orjson.dumps(text), PLAIN_END, self._suffix))
        converted = [c for c in map(self._convert_choice, choices) if c is not None]
        return b"".join((self._prefix, dumps_reply(converted), self._suffix)) if converted else b""

    def _end_or_fail(self, name: bytes, data: bytes) -> bytes:
        stripped = data.strip()
        if stripped == b"[DONE]":
            self.ended = True
        elif stripped:
            words = complaint_in_body(stripped) if name == b"error" else None
            raise ProviderFailedError(
                broken(200, words) if words else Failure(FailureClass.UPSTREAM, 200, "The provider sent invalid JSON.")
            )
        return b""

    def _note_identity(self, identity: tuple[Any, Any], chunk: dict[str, Any]) -> None:
        self._identity = identity
        note_identity(self.facts, chunk)
        extra: dict[str, str] = {}
        if self.facts.system_fingerprint:
            extra["system_fingerprint"] = self.facts.system_fingerprint
        if self.facts.service_tier:
            extra["service_tier"] = self.facts.service_tier
        self._suffix = b"," + orjson.dumps(extra)[1:] + b"\n\n" if extra else b"}\n\n"

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        """Hosts repeat and refine their counts: the last well-formed ones hold, nothing is summed."""
        usage = usage_of(chunk.get("usage"))
        groqs = chunk.get("x_groq")
        if isinstance(groqs, dict):
            if groqs.get("error"):
                raise ProviderFailedError(broken_within(complaint_of(groqs)))
            usage = usage or usage_of(groqs.get("usage"))
        self.facts.usage = usage or self.facts.usage

    def _convert_choice(self, choice: Any) -> dict[str, Any] | None:
        """A choice of a chunk as clients get it; None when it holds nothing new.

        Raises:
            ProviderFailedError: it is an error or cannot be read.
        """
        if type(choice) is not dict:
            raise ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, "A chunk's choice is no object."))
        if choice.get("error"):
            raise ProviderFailedError(broken_within(complaint_of(choice)))
        index = choice.get("index")
        index = index if type(index) is int else 0
        state = self._choices.get(index) or self._add_choice(index)
        if "usage" in choice:
            self.facts.usage = usage_of(choice["usage"]) or self.facts.usage
        delta = choice.get("delta")
        delta = delta if type(delta) is dict else {}
        told = choice.get("finish_reason")
        produced, visible = self._note_content(delta, state, ends=bool(told) and not state.finished, index=index)
        finish, native = finish_of(told, called=len(state.calls) > 0, native=choice.get("native_finish_reason"))
        if (state.finished and not visible) or (produced and not visible and not finish):
            # Some hosts repeat the finish, or an empty delta, next to the usage. Hidden reasoning leaves nothing.
            return None
        if finish:
            state.finished = True
            if index == 0:
                self.facts.finish_reason, self.facts.native_finish_reason = finish, native
        delta.pop("role", None)
        if not state.has_role:
            state.has_role = True
            delta = {"role": "assistant", **delta}
        self._plain = self.begun and 0 in self._choices and not (self._hide_reasoning or self._splits)
        return chunk_choice(index, delta, (finish, native), choice.get("logprobs"))

    def _add_choice(self, index: int) -> _Choice:
        if len(self._choices) >= MOST_CHOICES:
            raise ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, "The provider sent too many choices."))
        added = self._choices[index] = _Choice(ThinkTags() if self._splits else None)
        return added

    def _note_content(self, delta: dict[str, Any], state: _Choice, *, ends: bool, index: int) -> tuple[bool, bool]:
        """Brings the delta into shape; tells whether it holds content, and whether any of it may be shown."""
        normalise(delta)
        if state.tags is not None:
            _split_thoughts(delta, state.tags, ends=ends)
        calls = delta.pop("tool_calls", None)
        if calls or ends:
            fragments = state.calls.take(calls) if calls else []
            # A call that has no arguments at the end has none at all, and yet they are an object.
            fragments += state.calls.close() if ends else []
            if fragments:
                delta["tool_calls"] = fragments
        if ends and index == 0 and self._annotations and not delta.get("annotations"):
            delta["annotations"] = self._annotations
        produced = visible = has_content(delta)
        if self._hide_reasoning:
            hide_reasoning(delta)
            visible = has_content(delta)
        self.facts.has_content = self.facts.has_content or produced
        self.begun = self.begun or visible
        return produced, visible


def _plain_text(choice: Any) -> str | None:
    """The text of a choice that holds nothing else, so that it may skip the general way."""
    if type(choice) is not dict or choice.get("finish_reason") or choice.get("index") or choice.get("logprobs"):
        return None
    delta = choice.get("delta")
    if type(delta) is not dict or "usage" in choice or "error" in choice:
        return None
    text = delta.get("content")
    if type(text) is not str or not text:
        return None
    if len(delta) > 1:
        for name, value in delta.items():
            if value is not None and name not in _SAID_ALREADY:
                return None
    return text


def _split_thoughts(delta: dict[str, Any], tags: ThinkTags, *, ends: bool) -> None:
    thought, content = tags.feed(str(delta.pop("content", None) or ""))
    if ends:
        last_thought, last_content = tags.finish()
        thought, content = thought + last_thought, content + last_content
    if content:
        delta["content"] = content
    if thought and not delta.get("reasoning"):
        delta["reasoning"] = thought
        normalise(delta)

"""A streamed Gemini reply, from the provider's events to chat's chunks.

Owns what each event means: a whole response that adds parts. Framing, holding back and the role are `translated.py`'s.
Invariant: a reply without a finish reason was cut, for nothing else ends it.
"""

from typing import Any

from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.gemini.errors import failure_of_event
from services.provider_adapter.protocols.gemini.response import (
    Speaker,
    block_reason_in,
    block_words_in,
    finish_of,
    logprobs_of,
    refusal_of,
    tier_of,
)
from services.provider_adapter.protocols.gemini.usage import usage_of
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.translated import TranslatedStream, broken_reply, label

_PLAIN_KEYS = frozenset({"content", "index"})


class GeminiStreamDecoder(TranslatedStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared)
        self._attempt = attempt
        self._answer_tool = prepared.answer_tool
        self._speakers: dict[int, Speaker] = {}

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:
        if "error" in value or name == b"error":
            raise ProviderFailedError(failure_of_event(value))
        usage = value.get("usageMetadata")
        if usage is not None:
            self.facts.usage = usage_of(usage) or self.facts.usage
            self._label_tier(tier_of(usage))
        if not self.facts.upstream_id:
            self.facts.upstream_id = label(value.get("responseId"))
        candidates = value.get("candidates")
        if type(candidates) is not list or not candidates:
            return self._block(value)
        if self.begun and len(candidates) == 1:
            text = _plain_text(candidates[0])
            if text is not None:
                return self._text(text)
        return b"".join([self._candidate(candidate) for candidate in candidates])

    def _block(self, value: dict[str, Any]) -> bytes:
        """The prompt was refused, unless the event says nothing of the kind."""
        blocked, why = block_reason_in(value), block_words_in(value)
        if not blocked:
            return b""
        said = self._delta({"refusal": why}) if why else self._open()
        return said + self._finish("content_filter", blocked)

    def _candidate(self, candidate: Any) -> bytes:
        if type(candidate) is not dict:
            raise broken_reply("A candidate is no object.")
        index = candidate.get("index")
        index = index if type(index) is int else 0
        speaker = self._speakers.get(index) or self._add_speaker(index)
        content = candidate.get("content")
        delta = speaker.delta(content.get("parts") if type(content) is dict else None)
        annotations = speaker.new_annotations(candidate)
        if annotations:
            delta["annotations"] = annotations
        finish, native = finish_of(candidate.get("finishReason"), called=speaker.called)
        why = refusal_of(candidate, finish)
        if why:
            delta["refusal"] = why
        said = self._delta(delta, index, logprobs_of(candidate)) if delta else b""
        return said + self._finish(finish, native, index) if native else said

    def _add_speaker(self, index: int) -> Speaker:
        if len(self._speakers) >= 128:
            raise broken_reply("The provider sent too many candidates.")
        added = self._speakers[index] = Speaker(self._attempt, self._answer_tool, index)
        return added


def _plain_text(candidate: Any) -> str | None:
    """The text of a first candidate that adds nothing else, so that it may skip the general way."""
    if type(candidate) is not dict or candidate.get("index") or not candidate.keys() <= _PLAIN_KEYS:
        return None
    content = candidate.get("content")
    parts = content.get("parts") if type(content) is dict else None
    if type(parts) is not list or len(parts) != 1 or type(parts[0]) is not dict or len(parts[0]) != 1:
        return None
    text = parts[0].get("text")
    return text if type(text) is str and text else None

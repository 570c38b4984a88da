"""Oracle's streams as chat's chunks.

Owns the reading of events, and what the last of them says again. Does not write chunks: blocks.py and translated.py do.
Invariant: how the bytes were split changes nothing; what was said is not said twice.

Sources: events in the tests of a client of the generic kind (text, pieces of calls with or without `index`, the finish
reason alone, usage after it), OpenCode's provider for OCI (Cohere's second kind has the same shape), LiteLLM's
`oci/chat/cohere.py` (the last event of Cohere's first kind holds the whole text again, and the calls).
"""

from typing import Any

from services.provider_adapter.protocols.blocks import Block, BlockStream
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.oci.errors import failure_of_event, failure_of_finish, is_error
from services.provider_adapter.protocols.oci.forms import Form
from services.provider_adapter.protocols.oci.response import (
    REASONING_FORMAT,
    Said,
    SaidCall,
    ending_of,
    made_id,
    said_in,
)
from services.provider_adapter.protocols.oci.usage import usage_of
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.translated import broken_reply, label

_THOUGHT = -1


class OciStreamDecoder(BlockStream):
    """See `StreamDecoder`."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        super().__init__(attempt, prepared, REASONING_FORMAT)
        self._attempt = attempt
        self._repeats = prepared.asked in {Form.COHERE, Form.COHERE_V2}
        self._thought: Block | None = None
        self._texts: list[str] = []
        self._by_id: dict[str, int] = {}
        self._by_place: dict[int, int] = {}
        self._begun = 0

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:  # noqa: ARG002 (events have no names)
        if is_error(value):
            raise ProviderFailedError(failure_of_event(value))
        usage = usage_of(value.get("usage"))
        if usage is not None:
            self.facts.usage = usage
        native = value.get("finishReason")
        ends = isinstance(native, str) and bool(native)
        said = said_in(value)
        if not ends and not any(said):
            self._rest_is_known()
            return b""
        self.facts.upstream_id = label(value.get("id")) or self.facts.upstream_id
        given = self._open() + self._say(said, last=ends)
        if ends and not self._finished:
            given += self._close(native, value.get("errorMessage"))
        self._rest_is_known()
        return given

    def _close(self, native: Any, complaint: Any) -> bytes:
        given = b"".join(self._end_block(key) for key in list(self._blocks) if key != _THOUGHT)
        finish = ending_of(native, called=self._calls > 0, answered=self._answered)
        if finish[0] == "error" and not self.facts.has_content:
            raise ProviderFailedError(failure_of_finish(finish[1], complaint))
        return given + self._finish(*finish)

    def _rest_is_known(self) -> None:
        """Usage comes with the end or after it; then there is nothing to wait for."""
        self.ended = self.ended or (bool(self._finished) and self.facts.usage is not None)

    def _say(self, said: Said, *, last: bool) -> bytes:
        if self._finished:
            return b""
        again = last and self._repeats
        given = b""
        for thought in said.thoughts if not (again and self._thought) else ():
            if self._thought is None:
                self._thought = self._begin_thinking(_THOUGHT)
            given += self._think(self._thought, thought)
        for text in self._unsaid(said.texts) if again else said.texts:
            if self._repeats:
                self._texts.append(text)
            given += self._take_text(text)
        for call in said.calls if not (again and self._begun and self._is_known(said.calls)) else ():
            given += self._take_call(call)
        return given

    def _unsaid(self, texts: list[str]) -> list[str]:
        """What the last event adds to all that was said, which it holds again; another wording of that adds nothing."""
        whole, before = "".join(texts), "".join(self._texts)
        return [whole[len(before) :]] if len(whole) > len(before) and whole.startswith(before) else []

    def _is_known(self, calls: list[SaidCall]) -> bool:
        return all(not call.id or call.id in self._by_id for call in calls)

    def _take_call(self, call: SaidCall) -> bytes:
        key = self._key_of(call)
        if key is not None:
            return self._add(key, call.arguments)
        key = self._begun
        self._begun += 1
        call_id = call.id or made_id(self._attempt, self._calls)
        self._by_id[call_id] = key
        if call.place is not None:
            self._by_place[call.place] = key
        if not call.name:
            raise broken_reply("A call holds no function.")
        return self._begin_call(key, call_id, call.name) + self._add(key, call.arguments)

    def _key_of(self, call: SaidCall) -> int | None:
        """The call that a piece goes on with; None: it begins one."""
        if call.id:
            return self._by_id.get(call.id)
        if call.place is not None and call.place in self._by_place:
            return self._by_place[call.place]
        return None if call.name or not self._begun else self._begun - 1

    def _add(self, key: int, arguments: str) -> bytes:
        block = self._blocks.get(key)
        return self._argue(block, arguments) if block is not None else b""

    def _annotation(self, citation: Any, start: int, end: int) -> None:  # noqa: ARG002 (nothing is cited)
        return None

"""The script of a reply: which events, at what pace, ending how. Decided here, played elsewhere.

Owns the meaning of the dials. Does not own wire formats or sockets. Invariant: an event is one completion token, so the
usage that is reported is the number of events in the script, whatever becomes of the reply on its way.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain, islice
from typing import Any

from services.provider_simulator.core.directive import PLAIN, Directive, Garbage
from services.provider_simulator.core.schema_example import example_of
from services.provider_simulator.core.vocabulary import made_up_words

DEFAULT_TOKENS = 16
_PIECE_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the caller offers; `parameters` is its JSON schema."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, in no protocol's terms.

    Attributes:
        prompt: the last user message's text without the directive; seeds the made-up words.
        tools: those that may be called, in the order in which calls take them.
        call_required: the caller insists on a tool call.
        tools_answered: results of tools follow the last user message, so its `tools` dial is spent.
        search_units: searches that are billed; 0: it is none.
        json_schema: the answer has to be JSON that fits this; None: plain text will do.
    """

    prompt: str
    prompt_tokens: int
    max_tokens: int | None = None
    tools: tuple[Tool, ...] = ()
    call_required: bool = False
    tools_answered: bool = False
    search_units: int = 0
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CallStart:
    """The event that opens a tool call."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a tool call's arguments."""

    index: int
    text: str


Event = str | CallStart | CallPiece
"""A plain string is a word of the answer."""


class Ending(Enum):
    COMPLETE = auto()
    REFUSE = auto()  # an error status instead of an answer
    FAIL = auto()  # an error after some events
    CUT = auto()
    STALL = auto()
    GARBAGE = auto()


@dataclass(frozen=True, slots=True)
class Script:
    """A reply, ready to be put into a wire format and played.

    Attributes:
        finish_reason: in OpenAI's words, None for none.
        at: for FAIL, CUT and STALL: the number of events that come before.
        status: the error's status for REFUSE and FAIL.
    """

    events: tuple[Event, ...]
    finish_reason: str | None
    prompt_tokens: int
    search_units: int = 0
    report_usage: bool = True
    ttft_ms: int = 0
    chunk_ms: int = 0
    ending: Ending = Ending.COMPLETE
    at: int = 0
    status: int = 0
    garbage: Garbage | None = None

    @property
    def completion_tokens(self) -> int:
        return len(self.events)


class UnplayableError(Exception):
    """The directive asks for what this request does not allow; the message says what."""


def write_script(ask: Ask, directive: Directive = PLAIN) -> Script:
    """Decides the reply.

    Raises:
        UnplayableError: calls are asked for and no tools were sent.
    """
    events, reason = _answer(ask, directive)
    ending, at, status = _ending(directive, len(events))
    return Script(
        events,
        directive.finish or reason,
        ask.prompt_tokens,
        ask.search_units,
        report_usage=directive.usage,
        ttft_ms=directive.ttft_ms,
        chunk_ms=directive.chunk_ms,
        ending=ending,
        at=at,
        status=status,
        garbage=directive.garbage,
    )


def _answer(ask: Ask, directive: Directive) -> tuple[tuple[Event, ...], str | None]:
    """The events within the limit, and the finish reason."""
    if directive.empty:
        return (), None
    calls = _call_count(ask, directive)
    text = _text(ask, directive, calls)
    if calls == 0 and (ask.max_tokens is None or len(text) <= ask.max_tokens):
        return text, "stop"
    whole = chain(text, _call_events(ask.tools, calls))
    events = tuple(whole if ask.max_tokens is None else islice(whole, ask.max_tokens))
    if next(whole, None) is not None:
        return events, "length"
    return events, "tool_calls" if calls else "stop"


def _call_count(ask: Ask, directive: Directive) -> int:
    if directive.tools is None:
        wants_text = directive.tokens is not None or directive.words is not None
        return 1 if ask.call_required and not wants_text else 0
    if ask.tools_answered:
        return 0
    if directive.tools and not ask.tools:
        raise UnplayableError("The directive asks for tool calls, but the request offers no tools.")
    return directive.tools


def _text(ask: Ask, directive: Directive, calls: int) -> tuple[str, ...]:
    if directive.words is not None:
        return directive.words
    if directive.tokens is not None:
        return made_up_words(ask.prompt, directive.tokens)
    if calls:
        return ()
    if ask.json_schema is not None:
        return tuple(_pieces(json.dumps(example_of(ask.json_schema), ensure_ascii=False)))
    return made_up_words(ask.prompt, DEFAULT_TOKENS)


def _call_events(tools: tuple[Tool, ...], calls: int) -> Iterator[Event]:
    for index in range(calls):
        tool = tools[index % len(tools)]
        yield CallStart(index, tool.name)
        for piece in _pieces(json.dumps(example_of(tool.parameters), ensure_ascii=False)):
            yield CallPiece(index, piece)


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + _PIECE_CHARACTERS] for start in range(0, len(text), _PIECE_CHARACTERS))


def _ending(directive: Directive, events: int) -> tuple[Ending, int, int]:
    """How it ends, after how many events, and with what status. A short answer ends that way after its last event."""
    if directive.fail is not None:
        if directive.after is None:
            return Ending.REFUSE, 0, directive.fail
        return Ending.FAIL, min(directive.after, events), directive.fail
    if directive.cut is not None:
        return Ending.CUT, min(directive.cut, events), 0
    if directive.stall is not None:
        return Ending.STALL, min(directive.stall, events), 0
    if directive.garbage is not None:
        return Ending.GARBAGE, 0, 0
    return Ending.COMPLETE, events, 0

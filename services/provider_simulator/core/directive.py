"""The dials: finds and reads the one `[[sim key=value …]]` directive of a prompt.

Owns the syntax, the keys and their bounds. Does not own what the dials do (script.py). Invariant: a directive is taken
whole or refused with a message that lists the known keys; nothing in it is guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import unquote

MAX_TOKENS = 100_000
MAX_DELAY_MS = 600_000
MAX_TOOL_CALLS = 128

_OPENING = re.compile(r"\[\[sim(?=[\s\]])")
_CLOSING = "]]"
_NUMBER = re.compile(r"[0-9]{1,9}")
_REASON = re.compile(r"[A-Za-z_]{1,64}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WORD = re.compile(r"\s*\S+(?:\s+\Z)?|\s+\Z")


class DirectiveError(Exception):
    """The directive is not one that we know; the message says why and lists the known keys."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"Invalid simulator directive: {problem} Known keys: {', '.join(KNOWN_KEYS)}.")


class Garbage(Enum):
    """What a broken body with status 200 is made of."""

    HTML = "html"
    JSON = "json"
    UTF8 = "utf8"


@dataclass(frozen=True, slots=True)
class Directive:
    """The dials as set; the defaults are those of a plain answer.

    Attributes:
        words: the exact text to answer with, in events; joined they are the text.
        tokens: how many events to make up; None: as many as the answer takes by itself.
        fail: the error status to answer with.
        after: how many events come before the error; None: the error is the answer's status.
        only: the one provider for which all of this holds.
        model: the one model for which all of this holds.
    """

    ttft_ms: int = 0
    chunk_ms: int = 0
    tokens: int | None = None
    words: tuple[str, ...] | None = None
    fail: int | None = None
    after: int | None = None
    cut: int | None = None
    stall: int | None = None
    empty: bool = False
    finish: str | None = None
    usage: bool = True
    tools: int | None = None
    only: str | None = None
    model: str | None = None
    garbage: Garbage | None = None

    def holds_for(self, provider: str, models: Sequence[str]) -> bool:
        """Whether it is meant for this provider and for a model that goes by one of these names."""
        return (self.only is None or self.only == provider) and (self.model is None or self.model in models)


PLAIN = Directive()

_BOUNDS: Mapping[str, tuple[int, int]] = {
    "ttft_ms": (0, MAX_DELAY_MS),
    "chunk_ms": (0, MAX_DELAY_MS),
    "tokens": (0, MAX_TOKENS),
    "fail": (400, 599),
    "after": (0, MAX_TOKENS),
    "cut": (0, MAX_TOKENS),
    "stall": (0, MAX_TOKENS),
    "empty": (0, 1),
    "tools": (0, MAX_TOOL_CALLS),
}

KNOWN_KEYS = (*_BOUNDS, "words", "finish", "usage", "only", "model", "garbage")

_EXCLUSIVE = (("fail", "cut", "stall", "garbage"), ("words", "tokens", "empty"), ("tools", "empty"))


def find_directive(texts: Sequence[str]) -> tuple[Directive | None, str]:
    """The directive in the text parts of one message, and their text without it.

    Raises:
        DirectiveError: it is malformed, or there is more than one.
    """
    found: Directive | None = None
    rest: list[str] = []
    for text in texts:
        if "[[sim" not in text:
            rest.append(text)
            continue
        kept, directives = _split(text)
        rest.append(kept)
        for body in directives:
            if found is not None:
                raise DirectiveError("more than one directive.")
            found = parse_directive(body)
    return found, "\n".join(rest)


def parse_directive(body: str) -> Directive:
    """Reads what stands between `[[sim` and `]]`.

    Raises:
        DirectiveError: a key is unknown, repeated or at odds with another; a value is malformed or out of range.
    """
    fields: dict[str, Any] = {}
    for item in body.split():
        key, equals, raw = item.partition("=")
        if not equals or not raw:
            raise DirectiveError(f"'{item[:80]}' is not key=value.")
        if key not in KNOWN_KEYS:
            raise DirectiveError(f"unknown key '{key[:80]}'.")
        if key in fields:
            raise DirectiveError(f"'{key}' is given twice.")
        fields[key] = _value(key, _decoded(key, raw))
    fields["empty"] = bool(fields.get("empty", 0))
    _check_together(fields)
    return Directive(**fields)


def _split(text: str) -> tuple[str, list[str]]:
    """The text without its directives, and their bodies."""
    kept: list[str] = []
    bodies: list[str] = []
    position = 0
    while (opening := _OPENING.search(text, position)) is not None:
        end = text.find(_CLOSING, opening.end())
        if end < 0:
            raise DirectiveError("the closing ']]' is missing.")
        kept.append(text[position : opening.start()])
        bodies.append(text[opening.end() : end])
        if len(bodies) > 1:
            break
        position = end + len(_CLOSING)
    kept.append(text[position:])
    return "".join(kept).strip(), bodies


def _decoded(key: str, raw: str) -> str:
    if _BAD_ESCAPE.search(raw):
        raise DirectiveError(f"'{key}' holds a '%' without two hexadecimal digits.")
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise DirectiveError(f"'{key}' does not decode to UTF-8.") from None


def _value(key: str, text: str) -> object:
    bounds = _BOUNDS.get(key)
    if bounds is not None:
        return _integer(key, text, *bounds)
    if key == "words":
        return _words(text)
    if key == "garbage":
        kinds = {kind.value: kind for kind in Garbage}
        if text not in kinds:
            raise DirectiveError(f"'garbage' must be one of {', '.join(kinds)}.")
        return kinds[text]
    if key == "usage":
        if text != "none":
            raise DirectiveError("'usage' can only be none.")
        return False
    if key == "finish" and _REASON.fullmatch(text) is None:
        raise DirectiveError("'finish' must be made of letters and underscores.")
    return text


def _integer(key: str, text: str, least: int, most: int) -> int:
    if _NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
        raise DirectiveError(f"'{key}' must be a whole number from {least} to {most}.")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    words = tuple(_WORD.findall(text))
    if len(words) > MAX_TOKENS:
        raise DirectiveError(f"'words' may hold {MAX_TOKENS} words at most.")
    return words


def _check_together(fields: Mapping[str, object]) -> None:
    for group in _EXCLUSIVE:
        given = [key for key in group if fields.get(key) is not None and fields[key] is not False]
        if len(given) > 1:
            raise DirectiveError(f"{' and '.join(given)} exclude one another.")
    if "after" in fields and "fail" not in fields:
        raise DirectiveError("'after' needs 'fail'.")

"""Thoughts that stand in the content, in `<think>` at its beginning, taken out of it.

Owns the splitting. Does not decide which models do this: dialects.py does. Invariant: how the text was split changes
neither part; text without the tag goes through unchanged.
"""

from enum import Enum, auto

_OPENING = "<think>"
_CLOSING = "</think>"


class _State(Enum):
    BEFORE = auto()
    WITHIN = auto()
    TRIMMING = auto()  # line feeds between the tag and the answer
    AFTER = auto()


class ThinkTags:
    """Splits the text of one choice."""

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._held = ""
        self._state = _State.BEFORE

    def feed(self, text: str) -> tuple[str, str]:
        """Thought and content that are certain now."""
        if self._state is _State.AFTER:
            return "", text
        if self._state is _State.TRIMMING:
            return "", self._trimmed(text)
        self._held += text
        if self._state is _State.BEFORE:
            begun = self._held.lstrip()
            if not begun.startswith(_OPENING):
                return "", "" if _OPENING.startswith(begun) else self._give_up()
            self._state = _State.WITHIN
            self._held = begun[len(_OPENING) :]
        return self._take_thought()

    def finish(self) -> tuple[str, str]:
        """What had been held back."""
        held, self._held = self._held, ""
        return (held, "") if self._state is _State.WITHIN else ("", held)

    def _give_up(self) -> str:
        """There is no tag."""
        self._state = _State.AFTER
        held, self._held = self._held, ""
        return held

    def _take_thought(self) -> tuple[str, str]:
        end = self._held.find(_CLOSING)
        if end >= 0:
            thought, rest = self._held[:end], self._held[end + len(_CLOSING) :]
            self._held = ""
            self._state = _State.TRIMMING
            return thought, self._trimmed(rest)
        keep = next((n for n in range(len(_CLOSING) - 1, 0, -1) if self._held.endswith(_CLOSING[:n])), 0)
        thought = self._held[: len(self._held) - keep]
        self._held = self._held[len(thought) :]
        return thought, ""

    def _trimmed(self, text: str) -> str:
        text = text.lstrip("\n")
        if text:
            self._state = _State.AFTER
        return text


def split_whole(text: str) -> tuple[str, str]:
    """Thought and content of a whole text."""
    tags = ThinkTags()
    thought, content = tags.feed(text)
    more_thought, more_content = tags.finish()
    return thought + more_thought, content + more_content

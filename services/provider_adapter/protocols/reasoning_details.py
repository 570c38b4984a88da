"""What callers send back of `reasoning_details`: each format reads its own, whatever a client's library made of it.

Owns the recognition of a format's details. Does not read their contents. Invariant: details of another format are
never taken for one's own.

Libraries that put a streamed message together concatenate texts that stand in every delta, `format` and `id` among
them: OpenAI's does. A text that is nothing but a repetition counts once.
"""

from collections.abc import Mapping
from typing import Any

_LONGEST = 1 << 20


def is_of(detail: Mapping[str, Any], format_name: str) -> bool:
    """Whether a detail is of this format; one without a format may be of any."""
    told = detail.get("format")
    return told is None or (isinstance(told, str) and told[: len(format_name)] == format_name == unrepeated(told))


def unrepeated(text: str) -> str:
    """The shortest text of which this one is a repetition."""
    if len(text) > _LONGEST:
        return text
    period = (text + text).find(text, 1)
    return text[:period] if text else text

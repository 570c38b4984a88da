"""Signed thoughts that callers send back as `reasoning_details`, put together again.

Owns the pieces: clients that keep streamed deltas apart send text and signature one by one. Does not write any
provider's blocks. Invariant: a thought goes back exactly as it came, or not at all.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Detail = Mapping[str, Any]


class Thought(NamedTuple):
    """Either text with its signature, or data that only the provider can read."""

    text: str = ""
    signature: str = ""
    data: str = ""


def signed_thoughts(details: list[Detail], is_own: Callable[[Detail], bool]) -> list[Thought]:
    """The thoughts of a turn, in order; unsigned ones and those of other formats are left out."""
    thoughts: list[Thought] = []
    texts: list[str] = []
    index: Any = None
    for detail in details:
        if not is_own(detail):
            continue
        kind = detail.get("type")
        if kind == "reasoning.encrypted" and isinstance(detail.get("data"), str):
            thoughts.append(Thought(data=detail["data"]))
        if kind != "reasoning.text":
            continue
        if detail.get("index") != index:
            texts.clear()
            index = detail.get("index")
        if isinstance(detail.get("text"), str):
            texts.append(detail["text"])
        signature = detail.get("signature")
        if isinstance(signature, str) and signature:
            thoughts.append(Thought("".join(texts), signature))
            texts.clear()
    return thoughts

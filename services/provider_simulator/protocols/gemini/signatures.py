"""Thought signatures, so that a caller who puts one on another part is found out.

Invariant: a signature is valid for one call or one text alone, in every process.
"""

import base64
import hashlib
from typing import Any

import orjson

SKIPS = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
"""Google's own words for calls that another model made."""


def signature_of_call(name: str, args: Any) -> str:
    return _signed(b"call\0" + name.encode() + b"\0" + orjson.dumps(args, option=orjson.OPT_SORT_KEYS))


def signature_of_text() -> str:
    """Texts are signed at their end, whatever they say: streams give them in pieces."""
    return _signed(b"text")


def _signed(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(b"switchyard-simulator\0" + content).digest()).decode()

"""Identifiers: generation ids as clients know them, prefixed UUIDv7 for everything else.

Owns how ids look. Does not own uniqueness across machines beyond what randomness gives.
Invariant: an id says what it names and sorts by the time it was made.
"""

import os
import re
import secrets
from uuid import UUID

_ALPHANUMERICS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GENERATION_ID = re.compile(r"gen-[0-9]{1,12}-[0-9A-Za-z]{20}")
_RANDOM_LENGTH = 20


def generation_id(now_ms: int) -> str:
    """`gen-<unix seconds>-<20 alphanumerics>` (reference api-facts §1.4): 119 random bits."""
    letters = ""
    while len(letters) < _RANDOM_LENGTH:
        # 248 is the largest multiple of 62 in a byte: what lies above would favour some letters.
        letters += "".join([_ALPHANUMERICS[byte % 62] for byte in os.urandom(24) if byte < 248])
    return f"gen-{now_ms // 1000}-{letters[:_RANDOM_LENGTH]}"


def is_generation_id(text: str) -> bool:
    return _GENERATION_ID.fullmatch(text) is not None


def prefixed_id(prefix: str, now_ms: int) -> str:
    """`<prefix>_<UUIDv7>`, such as `acct_0192…`; sorts by creation time within a prefix."""
    return f"{prefix}_{uuid7(now_ms)}"


def uuid7(now_ms: int) -> UUID:
    """A UUID of version 7 (RFC 9562 §5.7): 48 bits of unix milliseconds, 74 random bits."""
    value = (now_ms & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)

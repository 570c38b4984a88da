"""Encrypted reasoning as it looks from outside: text that means something to the one who made it alone.

Invariant: what is sealed is valid for one item's id, in every process.
"""

import base64
import hashlib


def seal(item_id: str) -> str:
    digest = hashlib.sha256(b"switchyard-simulator\0" + item_id.encode("utf-8", "replace")).digest()
    return base64.urlsafe_b64encode(digest).decode()


def is_sealed(item_id: str, encrypted: str) -> bool:
    return encrypted == seal(item_id)

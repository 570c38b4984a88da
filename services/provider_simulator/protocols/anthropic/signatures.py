"""Signatures of thinking, so that a caller who changes a thought on its way back is found out.

Invariant: a signature is valid for one text alone, in every process.
"""

import base64
import hashlib


def signature_of(thinking: str) -> str:
    digest = hashlib.sha256(b"switchyard-simulator\0" + thinking.encode("utf-8", "replace")).digest()
    return base64.b64encode(digest).decode()


def is_signed(thinking: str, signature: str) -> bool:
    return signature == signature_of(thinking)

"""What ties the requests of one conversation together, so that they can go where its prompt is cached.

Owns that key (reference behaviour-facts §1.4). Invariant: nothing of a prompt can be read from it; it costs one pass over
the opening of a conversation.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SYSTEM: Final = frozenset({"system", "developer"})
_URL_LENGTH: Final = 512
_DIGEST_SIZE: Final = 16


def conversation_of(messages: Sequence[Mapping[str, Any]], prompt_cache_key: str) -> bytes:
    """The caller's cache key, else the first system or developer message and the first other one."""
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    if prompt_cache_key:
        digest.update(b"key\0" + _bytes(prompt_cache_key))
        return digest.digest()
    system = next((one for one in messages if one["role"] in _SYSTEM), None)
    other = next((one for one in messages if one["role"] not in _SYSTEM), None)
    for message in (system, other):
        digest.update(b"\0message\0")
        if message is not None:
            _add(digest, message.get("content"))
    return digest.digest()


def session_key(account_id: str, session_id: str, conversation: bytes) -> str:
    """The key of a conversation of one account; empty when nothing ties this request to others."""
    if not session_id and not conversation:
        return ""
    digest = hashlib.blake2b(_bytes(account_id) + b"\0", digest_size=_DIGEST_SIZE)
    digest.update(b"session\0" + _bytes(session_id) if session_id else conversation)
    return digest.hexdigest()


def _add(digest: "hashlib.blake2b", content: object) -> None:
    if isinstance(content, str):
        digest.update(_bytes(content))
    elif isinstance(content, list):
        for part in content:
            kind = part["type"]
            payload = part.get(kind)
            text = payload if isinstance(payload, str) else _url(payload)
            digest.update(_bytes(f"\0{kind}\0{text}"))


def _url(payload: object) -> str:
    """Media stands for itself by how it begins."""
    url = payload.get("url") or payload.get("data") or payload.get("file_data") if isinstance(payload, dict) else None
    return url[:_URL_LENGTH] if isinstance(url, str) else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

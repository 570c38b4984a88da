"""API keys as values: how a plaintext looks, what is kept of it, and when a key is good.

Owns format, hash, label and validity. Does not own storage or errors. Invariant: nothing here keeps a plaintext.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "sk-sy-v1-"
NAME_LENGTH_MAX = 256
_HASH = re.compile(r"[0-9a-f]{64}")


class LimitReset(StrEnum):
    """When a key's spend counts from nothing again; calendar windows in UTC."""

    NEVER = "never"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Validity(StrEnum):
    GOOD = "good"
    DELETED = "deleted"
    DISABLED = "disabled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is asked for when a key is made."""

    account_id: str
    name: str
    is_management: bool = False
    limit_nano_usd: int | None = None
    limit_reset: LimitReset = LimitReset.NEVER
    include_byok_in_limit: bool = False
    expires_at_ms: int | None = None
    creator_user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept; times are unix milliseconds."""

    hash: str
    account_id: str
    workspace_id: str
    name: str
    label: str
    is_management: bool
    disabled: bool
    created_at_ms: int
    updated_at_ms: int | None
    expires_at_ms: int | None
    deleted_at_ms: int | None
    limit_nano_usd: int | None
    limit_reset: LimitReset
    include_byok_in_limit: bool
    creator_user_id: str | None


def new_plaintext() -> str:
    """`sk-sy-v1-` and 64 lower-case hexadecimal digits: 256 random bits."""
    return PREFIX + secrets.token_hex(32)


def hash_of(plaintext: str) -> str:
    """The SHA-256 of the whole plaintext, in lower-case hexadecimal (reference behaviour-facts, keys)."""
    return hashlib.sha256(plaintext.encode()).hexdigest()


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def label_of(plaintext: str) -> str:
    """What may be shown of a plaintext, such as `sk-sy-v1-abc...123` (reference api-facts §1.4)."""
    return f"{plaintext[:12]}...{plaintext[-3:]}"


def validity(key: Key, now_ms: int) -> Validity:
    """Whether a key may be used now; it expires the moment its time is reached."""
    if key.deleted_at_ms is not None:
        return Validity.DELETED
    if key.disabled:
        return Validity.DISABLED
    if key.expires_at_ms is not None and key.expires_at_ms <= now_ms:
        return Validity.EXPIRED
    return Validity.GOOD


def complaint_about(new: NewKey, now_ms: int) -> tuple[str, str] | None:
    """Reason and words for a key that cannot be made; None if it can."""
    if not new.name.strip():
        return "KEY_NAME_INVALID", "name must not be empty"
    if len(new.name) > NAME_LENGTH_MAX:
        return "KEY_NAME_INVALID", f"name must have at most {NAME_LENGTH_MAX} characters"
    if "\0" in new.name or "\0" in (new.creator_user_id or ""):
        return "KEY_NAME_INVALID", "text must not hold the character NUL"
    if new.limit_nano_usd is not None and new.limit_nano_usd < 0:
        return "KEY_LIMIT_INVALID", "limit must not be negative"
    if new.expires_at_ms is not None and new.expires_at_ms <= now_ms:
        return "KEY_EXPIRY_INVALID", "expires_at must lie in the future"
    return None

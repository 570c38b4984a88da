"""Inputs of embeddings that are more than text, for formats that take pictures and the like.

Owns the way from an input to content parts. Does not write any provider's parts. Invariant: an input is parts or is
refused, never lost.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.chat_body import cannot_carry

Part = Mapping[str, Any]


def parts_of(given: Any) -> list[Part]:
    """The parts of an input; a text is one.

    Raises:
        ProviderFailedError: it is tokens, which are another model's.
    """
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    content = given.get("content") if isinstance(given, dict) else None
    if not isinstance(content, list):
        raise cannot_carry("inputs that are tokens")
    return [part for part in content if isinstance(part, dict)]

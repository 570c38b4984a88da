"""A Responses reply's token counts, read by the rules of chat's.

Owns the names. The arithmetic is `openai_chat/usage.py`'s.
"""

from typing import Any

from services.provider_adapter.protocols.openai_chat.usage import usage_of as chat_usage_of
from services.provider_adapter.protocols.port import Usage

_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def usage_of(value: Any) -> Usage | None:
    """The counts in a `usage` object; None when there are none or they are malformed."""
    if not isinstance(value, dict):
        return None
    return chat_usage_of({_NAMES.get(name, name): count for name, count in value.items()})

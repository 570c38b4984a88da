"""The table of wire formats; a new one is a folder and a line here."""

from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.port import WireProtocol


def protocols() -> dict[str, WireProtocol]:
    """Protocols by the name that hosts.json uses."""
    return {"openai": OpenAiChat(), "anthropic": AnthropicMessages(), "gemini": Gemini()}

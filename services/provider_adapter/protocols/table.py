"""The table of wire formats; a new one is a folder and a line here."""

from collections.abc import Mapping

from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.cohere.protocol import CohereChat
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.port import CHAT, WireProtocol

Protocols = Mapping[tuple[str, str], WireProtocol]
"""By the format's name, as the catalogue and hosts.json have it, and the operation."""


def protocols() -> Protocols:
    return {
        ("openai", CHAT): OpenAiChat(),
        ("anthropic", CHAT): AnthropicMessages(),
        ("gemini", CHAT): Gemini(),
        ("cohere", CHAT): CohereChat(),
    }

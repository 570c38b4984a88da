"""The table of wire formats; a new one is a folder and a line here."""

from collections.abc import Mapping

from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.azure.protocol import AzureChat, AzureEmbeddings
from services.provider_adapter.protocols.bedrock_converse.protocol import BedrockConverse
from services.provider_adapter.protocols.bedrock_invoke.embeddings import BedrockEmbeddings
from services.provider_adapter.protocols.bedrock_invoke.rerank import BedrockRerank
from services.provider_adapter.protocols.cohere.embeddings import CohereEmbeddings
from services.provider_adapter.protocols.cohere.protocol import CohereChat
from services.provider_adapter.protocols.cohere.rerank import CohereRerank
from services.provider_adapter.protocols.gemini.embeddings import GeminiEmbeddings
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.gigachat.protocol import GigaChat, GigaChatEmbeddings
from services.provider_adapter.protocols.oci.embeddings import OciEmbeddings
from services.provider_adapter.protocols.oci.protocol import OciChat
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.openai_completions.protocol import OpenAiCompletions
from services.provider_adapter.protocols.openai_embeddings.protocol import OpenAiEmbeddings
from services.provider_adapter.protocols.openai_rerank.protocol import OpenAiRerank
from services.provider_adapter.protocols.openai_responses.protocol import OpenAiResponses
from services.provider_adapter.protocols.port import CHAT, COMPLETIONS, EMBEDDINGS, RERANK, WireProtocol
from services.provider_adapter.protocols.replicate.protocol import Replicate
from services.provider_adapter.protocols.vertex.embeddings import VertexEmbeddings
from services.provider_adapter.protocols.vertex.protocol import VertexClaude, VertexGemini
from services.provider_adapter.protocols.watsonx.protocol import WatsonxChat

Protocols = Mapping[tuple[str, str], WireProtocol]
"""By the format's name, as the catalogue and hosts.json have it, and the operation."""


def protocols() -> Protocols:
    return {
        ("openai", CHAT): OpenAiChat(),
        ("openai", COMPLETIONS): OpenAiCompletions(),
        ("openai", EMBEDDINGS): OpenAiEmbeddings(),
        ("openai", RERANK): OpenAiRerank(),
        ("openai-embeddings", EMBEDDINGS): OpenAiEmbeddings(),
        ("openai-embeddings", RERANK): OpenAiRerank(),
        ("openai-responses", CHAT): OpenAiResponses(),
        ("azure", CHAT): AzureChat(),
        ("azure", EMBEDDINGS): AzureEmbeddings(),
        ("anthropic", CHAT): AnthropicMessages(),
        ("gemini", CHAT): Gemini(),
        ("gemini", EMBEDDINGS): GeminiEmbeddings(),
        ("gigachat", CHAT): GigaChat(),
        ("gigachat", EMBEDDINGS): GigaChatEmbeddings(),
        ("cohere", CHAT): CohereChat(),
        ("bedrock", CHAT): BedrockConverse(),
        ("bedrock", EMBEDDINGS): BedrockEmbeddings(),
        ("bedrock", RERANK): BedrockRerank(),
        ("cohere", EMBEDDINGS): CohereEmbeddings(),
        ("cohere", RERANK): CohereRerank(),
        ("oci", CHAT): OciChat(),
        ("oci", EMBEDDINGS): OciEmbeddings(),
        ("replicate", CHAT): Replicate(),
        ("vertex", CHAT): VertexGemini(),
        ("vertex", EMBEDDINGS): VertexEmbeddings(),
        ("vertex-anthropic", CHAT): VertexClaude(),
        ("watsonx", CHAT): WatsonxChat(),
    }

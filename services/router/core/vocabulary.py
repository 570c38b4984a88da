"""The closed sets of words that the catalogue's files may use.

Owns the names of parameters, modalities, quantizations, protocols and kinds. Does not know what uses them.
Invariant: a word that the public API shows is spelled as the reference spells it (api-facts §4).
"""

from collections.abc import Mapping

PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "include_reasoning",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "reasoning",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "seed",
        "stop",
        "structured_outputs",
        "temperature",
        "tool_choice",
        "tools",
        "top_a",
        "top_k",
        "top_logprobs",
        "top_p",
        "verbosity",
        "web_search_options",
    }
)
"""Names an endpoint may be asked to support (reference api-facts §4); other names in a request are not parameters."""

PRESETS = PARAMETERS - {"max_tokens", "max_completion_tokens", "tools", "tool_choice"}
"""What a model may have of itself: nothing that a plan or a hold depends on."""

QUANTIZATIONS = frozenset(
    {"int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"}
)
INPUT_MODALITIES = frozenset({"text", "image", "file", "audio", "video"})
OUTPUT_MODALITIES = frozenset(
    {"text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription"},
)


PROTOCOLS = frozenset(
    {
        "anthropic",
        "azure",
        "bedrock",
        "cohere",
        "gemini",
        "gigachat",
        "gitlab",
        "merge-gateway",
        "oci",
        "openai",
        "openai-embeddings",
        "openai-responses",
        "replicate",
        "sap-orchestration",
        "vertex",
        "vertex-anthropic",
        "watsonx",
    }
)
"""Wire formats that a provider may speak."""

SPOKEN: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"chat"}),
    "azure": frozenset({"chat", "embeddings"}),
    "bedrock": frozenset({"chat", "embeddings", "rerank"}),
    "cohere": frozenset({"chat", "embeddings", "rerank"}),
    "gemini": frozenset({"chat", "embeddings"}),
    "gigachat": frozenset({"chat", "embeddings"}),
    "oci": frozenset({"chat", "embeddings"}),
    "openai": frozenset({"chat", "completions", "embeddings", "rerank"}),
    "openai-embeddings": frozenset({"embeddings", "rerank"}),
    "openai-responses": frozenset({"chat"}),
    "replicate": frozenset({"chat"}),
    "vertex": frozenset({"chat", "embeddings"}),
    "vertex-anthropic": frozenset({"chat"}),
    "watsonx": frozenset({"chat"}),
}
"""What provider_adapter can be asked for in each wire format; a test holds it to that service's own table."""

OPERATION_OF_KIND: Mapping[str, str] = {
    "chat": "chat",
    "completion": "completions",
    "embedding": "embeddings",
    "rerank": "rerank",
    "image": "images",
    "audio": "audio",
    "video": "videos",
}
"""What may be asked of a model of each kind."""
CHAT = "chat"
COMPLETIONS = "completions"
EMBEDDINGS = "embeddings"
RERANK = "rerank"
SERVES_CHAT = frozenset({CHAT})
INFERENCE = frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RERANK})
"""Operations that this gateway has routes for."""
CALLABLE_KINDS = frozenset({"lab", "cloud", "inference", "private"})
PROVIDER_KINDS = CALLABLE_KINDS | {"aggregator", "subscription", "local"}
REGIONS = frozenset({"au", "cn", "eu", "global", "jp", "us"})

NOTHING: frozenset[str] = frozenset()
UNBILLED_PRICES = frozenset({"audio", "audio_output", "image", "image_output", "web_search"})
"""Prices that are shown but not charged; core/billable.py draws the consequence."""
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
OPERATIONS = frozenset(OPERATION_OF_KIND.values())
SERVICE_TIERS = frozenset({"flex", "priority"})
COUNTRY_LENGTH = 2

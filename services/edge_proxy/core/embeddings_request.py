"""An embeddings request: parsed, checked, and reduced to what its way through the services needs.

Owns which fields are documented, their types and ranges (reference api-facts §3.5). Does not rewrite the body. Invariant:
an input of the wrong shape never reaches a provider.
"""

from typing import Final

from libs.tokens import TokenCounter
from services.edge_proxy.core import fields
from services.edge_proxy.core.body_fields import (
    load_object,
    read_model,
    read_provider,
    read_session,
    read_trace,
    read_user,
)
from services.edge_proxy.core.chat_request import MEDIA_PART_TOKENS
from services.edge_proxy.core.fields import Json, Object, invalid
from services.edge_proxy.core.messages import MessageFacts, read_part
from services.edge_proxy.core.request import EMBEDDINGS, InferenceRequest

_ENCODINGS: Final = frozenset({"float", "base64"})
_MAX_DIMENSIONS: Final = 1_000_000
_MAX_TOKEN: Final = 2**31 - 1


def parse_embeddings_request(body: bytes, counter: TokenCounter) -> InferenceRequest:
    """Checks a body.

    Raises:
        AppError: 400 that names the field, or says where the JSON breaks.
    """
    source = load_object(body)
    models = read_model(source)
    modalities: set[str] = set()
    tokens = _read_input(source, counter, modalities)
    fields.whole(source, "dimensions", 1, _MAX_DIMENSIONS)
    fields.member(source, "encoding_format", _ENCODINGS)
    fields.text(source, "input_type", max_length=256)
    return InferenceRequest(
        body=body,
        operation=EMBEDDINGS,
        models=models,
        max_tokens=0,
        prompt_tokens=sum(tokens),
        longest_prompt_tokens=max(tokens),
        modalities=tuple(sorted(modalities)),
        preferences=read_provider(source),
        user=read_user(source),
        session_id=read_session(source),
        trace_json=read_trace(source),
    )


def _read_input(source: Object, counter: TokenCounter, modalities: set[str]) -> list[int]:
    """Tokens of each input: a text, its tokens, or parts of a content."""
    value = source.get("input")
    if value is None:
        raise invalid("input", "is required")
    if isinstance(value, str):
        return counter.count_each(_texts([value], "input"))
    if not isinstance(value, list):
        raise invalid("input", "must be a string or an array")
    if not value:
        raise invalid("input", "must have at least one item")
    if isinstance(value[0], str):
        return counter.count_each(_texts(value, "input"))
    if isinstance(value[0], list):
        return [_token_count(item, f"input.{index}") for index, item in enumerate(value)]
    if isinstance(value[0], dict):
        return [_content_tokens(item, f"input.{index}", counter, modalities) for index, item in enumerate(value)]
    return [_token_count(value, "input")]


def _texts(values: list[Json], where: str) -> list[str]:
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise invalid(f"{where}.{index}", "must be a string, as the first item is")
        if not value:
            raise invalid(where if len(values) == 1 else f"{where}.{index}", "must not be empty")
    return values


def _token_count(value: Json, where: str) -> int:
    if not isinstance(value, list) or not value or set(map(type, value)) != {int}:
        raise invalid(where, "must be an array of token numbers")
    if min(value) < 0 or max(value) > _MAX_TOKEN:
        raise invalid(where, f"must hold token numbers from 0 to {_MAX_TOKEN}")
    return len(value)


def _content_tokens(value: Json, where: str, counter: TokenCounter, modalities: set[str]) -> int:
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list) or not content:
        raise invalid(f"{where}.content", "must be an array of content parts")
    facts = MessageFacts()
    for index, part in enumerate(content):
        read_part(part, f"{where}.content.{index}", facts)
    modalities |= facts.modalities
    return sum(counter.count_each(facts.texts)) + MEDIA_PART_TOKENS * facts.media_parts

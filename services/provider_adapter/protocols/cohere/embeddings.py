"""Cohere's v2 embed as a `WireProtocol`.

Owns the request and the count. Does not write the answer: vectors.py does. Invariant: vectors are asked for
and read as numbers, in one call.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.attachments import attachment_of
from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.cohere.operation import CohereOperation, read_reply
from services.provider_adapter.protocols.cohere.usage import count_in
from services.provider_adapter.protocols.input_parts import Part, parts_of
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage
from services.provider_adapter.protocols.translated import broken_reply
from services.provider_adapter.protocols.vectors import EmbeddingsBody, embeddings_reply, read_embeddings, text_of

PATH = "/embed"
_PURPOSES: Mapping[str, str] = {
    "search_document": "search_document",
    "document": "search_document",
    "passage": "search_document",
    "retrieval_document": "search_document",
    "search_query": "search_query",
    "query": "search_query",
    "retrieval_query": "search_query",
    "classification": "classification",
    "clustering": "clustering",
    "image": "image",
}


class CohereEmbeddings(CohereOperation):
    """See `WireProtocol`."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (hosts do not differ here)
        asked = read_embeddings(attempt)
        request = {"model": attempt.provider_model_id, **embed_fields(asked)}
        return Prepared(PATH, write_body(request), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        reply, facts = read_reply(body, "embeddings")
        facts.usage = _usage(reply.get("meta"))
        return embeddings_reply(attempt, prepared.asked, vectors_in(reply)), facts


def embed_fields(asked: EmbeddingsBody) -> dict[str, Any]:
    """The request but for the model.

    Raises:
        ProviderFailedError: an input has no form here.
    """
    texts = [text_of(given) for given in asked.inputs]
    fields: dict[str, Any] = {
        "input_type": _PURPOSES.get(asked.input_type.lower(), "search_document"),
        "embedding_types": ["float"],
    }
    if None not in texts:
        fields["texts"] = texts
    else:
        fields["inputs"] = [{"content": [_item(part) for part in parts_of(given)]} for given in asked.inputs]
    if asked.dimensions is not None:
        fields["output_dimension"] = asked.dimensions
    return fields


def vectors_in(reply: Mapping[str, Any]) -> list[Any]:
    """The vectors of a reply, by type or, as some hosts have it, bare.

    Raises:
        ProviderFailedError: there are none.
    """
    vectors = reply.get("embeddings")
    if isinstance(vectors, dict):
        vectors = vectors.get("float")
    if not isinstance(vectors, list):
        raise broken_reply("The reply holds no vectors.")
    return vectors


def _item(part: Part) -> dict[str, Any]:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    attachment = attachment_of(part)
    if attachment is None or not attachment.mime_type.startswith("image/"):
        raise cannot_carry("inputs other than text and images")
    if not attachment.data:
        raise cannot_carry("images by their address")
    return {"type": "image_url", "image_url": {"url": f"data:{attachment.mime_type};base64,{attachment.data}"}}


def _usage(meta: Any) -> Usage | None:
    """What is billed: texts as tokens, and pictures, where there are any, as tokens of their own."""
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    if not isinstance(billed, dict):
        return None
    words = count_in(billed, "input_tokens")
    words = count_in(billed, "text_tokens") if words is None else words
    pictures = count_in(billed, "image_tokens")
    if words is None and pictures is None:
        return None
    return Usage((words or 0) + (pictures or 0), 0, prompt_image_tokens=pictures or 0)

"""A rerank request: parsed, checked, and reduced to what its way through the services needs.

Owns which fields are documented, their types and ranges (reference api-facts §3.5), and the estimate of searches. Does not
rewrite the body. Invariant: a document of the wrong shape never reaches a provider.
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
from services.edge_proxy.core.request import RERANK, InferenceRequest

DOCUMENTS_PER_SEARCH: Final = 100
TOKENS_PER_DOCUMENT: Final = 500
"""Cohere's measure: a search ranks so many documents, and a longer one, the query included, counts as several."""
_MAX_TOP_N: Final = 2**31 - 1


def parse_rerank_request(body: bytes, counter: TokenCounter) -> InferenceRequest:
    """Checks a body.

    Whoever charges by tokens counts the query with each document. Providers cut documents to what their models take, so
    the query alone has to fit.

    Raises:
        AppError: 400 that names the field, or says where the JSON breaks.
    """
    source = load_object(body)
    models = read_model(source)
    query = fields.text(source, "query")
    if not query:
        raise invalid("query", "is required" if query is None else "must not be empty")
    modalities: set[str] = set()
    tokens = _read_documents(source, counter, modalities)
    fields.whole(source, "top_n", 1, _MAX_TOP_N)
    query_tokens = counter.count(query)
    return InferenceRequest(
        body=body,
        operation=RERANK,
        models=models,
        max_tokens=0,
        prompt_tokens=query_tokens * len(tokens) + sum(tokens),
        longest_prompt_tokens=query_tokens,
        prompt_bytes=len(body) + 4 * len(query) * len(tokens),
        search_units=searches(query_tokens, tokens),
        modalities=tuple(sorted(modalities)),
        preferences=read_provider(source),
        user=read_user(source),
        session_id=read_session(source),
        trace_json=read_trace(source),
    )


def searches(query_tokens: int, document_tokens: list[int]) -> int:
    """Searches that ranking these documents is billed as."""
    pieces = sum(max(1, -(-(query_tokens + tokens) // TOKENS_PER_DOCUMENT)) for tokens in document_tokens)
    return -(-pieces // DOCUMENTS_PER_SEARCH)


def _read_documents(source: Object, counter: TokenCounter, modalities: set[str]) -> list[int]:
    """Tokens of each document."""
    documents = source.get("documents")
    if documents is None:
        raise invalid("documents", "is required")
    if not isinstance(documents, list):
        raise invalid("documents", "must be an array")
    if not documents:
        raise invalid("documents", "must have at least one item")
    texts: list[str] = []
    images = [0] * len(documents)
    for index, document in enumerate(documents):
        text, has_image = _read_document(document, f"documents.{index}")
        texts.append(text)
        if has_image:
            images[index] = MEDIA_PART_TOKENS
            modalities.add("image")
    return [tokens + image for tokens, image in zip(counter.count_each(texts), images, strict=True)]


def _read_document(document: Json, where: str) -> tuple[str, bool]:
    """Its text, and whether it has an image."""
    if isinstance(document, str):
        return document, False
    if not isinstance(document, dict):
        raise invalid(where, "must be a string or an object with a text or an image")
    text = fields.text(document, "text", path=f"{where}.")
    image = fields.text(document, "image", path=f"{where}.")
    if text is None and image is None:
        raise invalid(where, "must be a string or an object with a text or an image")
    return text or "", image is not None

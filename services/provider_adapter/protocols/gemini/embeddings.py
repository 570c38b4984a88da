"""Gemini's batchEmbedContents as a `WireProtocol`.

Owns the request and the reply. Does not write the answer: vectors.py does. Invariant: every input is a request
of one batch, so that one input of many is not lost or merged.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from services.provider_adapter.protocols.attachments import attachment_of
from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.failures import Failure, ProviderFailedError
from services.provider_adapter.protocols.gemini.errors import failure_of_answer, failure_of_event
from services.provider_adapter.protocols.input_parts import Part, parts_of
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage
from services.provider_adapter.protocols.translated import broken_reply, loads_reply
from services.provider_adapter.protocols.vectors import embeddings_reply, read_embeddings
from services.provider_adapter.protocols.whole_only import WholeOnly

_PURPOSES: Mapping[str, str] = {
    "search_query": "RETRIEVAL_QUERY",
    "query": "RETRIEVAL_QUERY",
    "search_document": "RETRIEVAL_DOCUMENT",
    "document": "RETRIEVAL_DOCUMENT",
    "passage": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
_TASKS = frozenset(
    {
        "RETRIEVAL_QUERY",
        "RETRIEVAL_DOCUMENT",
        "SEMANTIC_SIMILARITY",
        "CLASSIFICATION",
        "CLUSTERING",
        "QUESTION_ANSWERING",
        "FACT_VERIFICATION",
        "CODE_RETRIEVAL_QUERY",
    }
)


class GeminiEmbeddings(WholeOnly):
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"x-goog-api-key": credential} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (hosts do not differ here)
        asked = read_embeddings(attempt)
        model = attempt.provider_model_id.removeprefix("models/")
        common: dict[str, Any] = {"model": f"models/{model}"}
        task = task_of(asked.input_type)
        if task:
            common["taskType"] = task
        if asked.dimensions is not None:
            common["outputDimensionality"] = asked.dimensions
        requests = [
            {**common, "content": {"parts": [_part(part) for part in parts_of(given)]}} for given in asked.inputs
        ]
        path = f"/models/{quote(model, safe='')}:batchEmbedContents"
        return Prepared(path, write_body({"requests": requests}), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        reply = loads_reply(body)
        if "error" in reply:
            raise ProviderFailedError(failure_of_event(reply))
        embeddings = reply.get("embeddings")
        if not isinstance(embeddings, list):
            raise broken_reply("The reply holds no vectors.")
        facts = ReplyFacts()
        facts.usage = _usage(reply.get("usageMetadata"))
        vectors = [embedding.get("values") if isinstance(embedding, dict) else None for embedding in embeddings]
        facts.has_content = True
        return embeddings_reply(attempt, prepared.asked, vectors), facts

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)


def task_of(purpose: str) -> str:
    """Google's word for what the vectors are for; empty where there is none."""
    task = _PURPOSES.get(purpose.lower(), purpose.upper())
    return task if task in _TASKS else ""


def _part(part: Part) -> dict[str, Any]:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return {"text": part["text"]}
    attachment = attachment_of(part)
    if attachment is None or not attachment.data:
        raise cannot_carry("inputs by their address")
    return {"inlineData": {"mimeType": attachment.mime_type, "data": attachment.data}}


def _usage(metadata: Any) -> Usage | None:
    """Older models count nothing here."""
    count = metadata.get("promptTokenCount") if isinstance(metadata, dict) else None
    return Usage(count, 0) if type(count) is int and count > 0 else None

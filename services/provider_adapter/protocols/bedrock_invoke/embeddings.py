"""Vectors by InvokeModel: the bodies of Amazon's and Cohere's models.

Owns the bodies. Does not write the answer: vectors.py does. Invariant: a model that takes one input is asked for one; more
are refused, and may be tried elsewhere.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from services.provider_adapter.protocols.attachments import attachment_of
from services.provider_adapter.protocols.bedrock_invoke.invocation import Invocation, path_of, unknown_model
from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.cohere.embeddings import embed_fields, vectors_in
from services.provider_adapter.protocols.input_parts import parts_of
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage
from services.provider_adapter.protocols.translated import broken_reply, loads_reply
from services.provider_adapter.protocols.vectors import EmbeddingsBody, embeddings_reply, read_embeddings, text_of

Reply = Mapping[str, Any]

_RETRIEVES = frozenset({"query", "search_query", "retrieval_query"})
_NOVA_PURPOSES: Mapping[str, str] = {"classification": "CLASSIFICATION", "clustering": "CLUSTERING"}


class _Body(NamedTuple):
    """How a maker's models are asked, and how they answer.

    Attributes:
        write: the body but for the model.
        read: the vectors of a reply.
    """

    write: Callable[[EmbeddingsBody], dict[str, Any]]
    read: Callable[[Reply], list[Any]]


class BedrockEmbeddings(Invocation):
    """See `WireProtocol`."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        asked = read_embeddings(attempt)
        body = _body_of(attempt.provider_model_id)
        return Prepared(path_of(attempt.provider_model_id), write_body(body.write(asked)), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        reply = loads_reply(body)
        facts = ReplyFacts()
        facts.has_content = True
        facts.usage = _usage(reply)
        return embeddings_reply(attempt, prepared.asked, _body_of(attempt.provider_model_id).read(reply)), facts


def _titan(asked: EmbeddingsBody) -> dict[str, Any]:
    fields: dict[str, Any] = {"inputText": _only_text(asked)}
    if asked.dimensions is not None:
        fields["dimensions"] = asked.dimensions
    return fields


def _titan_first(asked: EmbeddingsBody) -> dict[str, Any]:
    """Its vectors are of one length."""
    return {"inputText": _only_text(asked)}


def _titan_image(asked: EmbeddingsBody) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in parts_of(_only(asked)):
        attachment = attachment_of(part)
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            fields["inputText"] = "\n".join([*filter(None, [fields.get("inputText")]), part["text"]])
        elif attachment is None or not attachment.mime_type.startswith("image/") or "inputImage" in fields:
            raise cannot_carry("inputs other than a text and an image")
        elif not attachment.data:
            raise cannot_carry("images by their address")
        else:
            fields["inputImage"] = attachment.data
    if asked.dimensions is not None:
        fields["embeddingConfig"] = {"outputEmbeddingLength": asked.dimensions}
    return fields


def _nova(asked: EmbeddingsBody) -> dict[str, Any]:
    purpose = asked.input_type.lower()
    word = "GENERIC_RETRIEVAL" if purpose in _RETRIEVES else _NOVA_PURPOSES.get(purpose, "GENERIC_INDEX")
    wanted: dict[str, Any] = {
        "embeddingPurpose": word,
        "text": {"truncationMode": "END", "value": _only_text(asked)},
    }
    if asked.dimensions is not None:
        wanted["embeddingDimension"] = asked.dimensions
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": wanted}


def _cohere(asked: EmbeddingsBody) -> dict[str, Any]:
    return {**embed_fields(asked), "truncate": "END"}


def _one_vector(reply: Reply) -> list[Any]:
    vector = reply.get("embedding")
    if not isinstance(vector, list):
        raise broken_reply("The reply holds no vector.")
    return [vector]


def _nova_vectors(reply: Reply) -> list[Any]:
    listed = reply.get("embeddings")
    if not isinstance(listed, list):
        raise broken_reply("The reply holds no vectors.")
    return [one.get("embedding") if isinstance(one, dict) else None for one in listed]


# In this order: the first whose words are in the model's id decides.
_BODIES: tuple[tuple[str, _Body], ...] = (
    ("cohere.embed", _Body(_cohere, vectors_in)),
    ("titan-embed-image", _Body(_titan_image, _one_vector)),
    ("titan-embed-text-v2", _Body(_titan, _one_vector)),
    ("titan-embed", _Body(_titan_first, _one_vector)),
    ("multimodal-embeddings", _Body(_nova, _nova_vectors)),
)


def _body_of(model: str) -> _Body:
    for words, body in _BODIES:
        if words in model:
            return body
    raise unknown_model(model)


def _only(asked: EmbeddingsBody) -> Any:
    if len(asked.inputs) != 1:
        raise cannot_carry("more than one input at a time")
    return asked.inputs[0]


def _only_text(asked: EmbeddingsBody) -> str:
    text = text_of(_only(asked))
    if text is None:
        raise cannot_carry("inputs that are not text")
    return text


def _usage(reply: Reply) -> Usage | None:
    """Amazon's models count; the count of others is in a header that nobody passes on."""
    count = reply.get("inputTextTokenCount")
    return Usage(count, 0) if type(count) is int and count > 0 else None

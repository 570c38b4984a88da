"""Rerank, in no provider's terms: the caller's request read, and scores written as the reply of our route.

Owns the shapes of reference api-facts §3.5. Does not know any provider. Invariant: a result names a document of the
request and carries it as the caller sent it; none is there twice; the best comes first.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from services.provider_adapter.protocols.chat_body import cannot_carry
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Attempt
from services.provider_adapter.protocols.vectors import read_fields


class RerankBody(NamedTuple):
    """A caller's request.

    Attributes:
        fields: as the caller wrote them, without nulls and unsupported parameters.
        documents: each a text, or an object with `text` or `image` or both.
        top_n: how many results are wanted; None: all.
    """

    fields: Mapping[str, Any]
    query: str
    documents: Sequence[Any]
    top_n: int | None

    def texts(self) -> list[str]:
        """The documents as texts.

        Raises:
            ProviderFailedError: one has an image, and this format takes none; another one may.
        """
        if any(isinstance(one, dict) and one.get("image") is not None for one in self.documents):
            raise cannot_carry("documents that are images")
        return [one if isinstance(one, str) else str(one.get("text") or "") for one in self.documents]


def read_rerank(attempt: Attempt) -> RerankBody:
    """Reads the body of one attempt.

    Raises:
        AppError: it is not a JSON object.
    """
    fields = read_fields(attempt)
    documents, top_n = fields.get("documents"), fields.get("top_n")
    return RerankBody(
        fields,
        str(fields.get("query") or ""),
        documents if isinstance(documents, list) else [],
        int(top_n) if isinstance(top_n, int | float) else None,
    )


def rerank_reply(attempt: Attempt, body: RerankBody, scores: Iterable[tuple[Any, Any]]) -> bytes:
    """The reply of our route without `usage`.

    Args:
        attempt: for the names in the reply.
        body: what was asked.
        scores: place of a document in the request, and its relevance, as the provider has them.

    Raises:
        ProviderFailedError: these are no scores of these documents.
    """
    ranked: dict[int, float] = {}
    for index, score in scores:
        if type(index) is not int or not 0 <= index < len(body.documents) or index in ranked:
            raise _unusable("The reply names a document that was not sent, or one twice.")
        if type(score) not in {int, float}:
            raise _unusable("The reply holds something that is no score.")
        ranked[index] = score
    best_first = sorted(ranked.items(), key=lambda one: -one[1])[: body.top_n]
    return orjson.dumps(
        {
            "id": attempt.generation_id,
            "model": attempt.model,
            "provider": attempt.provider_name,
            "results": [
                {"index": index, "relevance_score": score, "document": _document(body.documents[index])}
                for index, score in best_first
            ],
        }
    )


def _document(document: Any) -> Any:
    return {"text": document} if isinstance(document, str) else document


def _unusable(message: str) -> ProviderFailedError:
    return ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, message))

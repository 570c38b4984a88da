"""Cohere's v2 rerank as a `WireProtocol`.

Owns the request and the count. Does not write the answer: ranking.py does. Invariant: what is counted is what is
billed: searches, or tokens for models that are sold by them.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.cohere.operation import CohereOperation, read_reply
from services.provider_adapter.protocols.cohere.usage import count_in
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage
from services.provider_adapter.protocols.ranking import RerankBody, read_rerank, rerank_reply
from services.provider_adapter.protocols.translated import broken_reply

PATH = "/rerank"


class CohereRerank(CohereOperation):
    """See `WireProtocol`."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (hosts do not differ here)
        asked = read_rerank(attempt)
        request = {"model": attempt.provider_model_id, **rerank_fields(asked)}
        return Prepared(PATH, write_body(request), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        reply, facts = read_reply(body, "results")
        facts.usage = _usage(reply.get("meta"))
        return rerank_reply(attempt, prepared.asked, scores_in(reply)), facts


def rerank_fields(asked: RerankBody) -> dict[str, Any]:
    """The request but for the model.

    Raises:
        ProviderFailedError: a document is more than text.
    """
    documents = asked.texts()
    fields: dict[str, Any] = {"query": asked.query, "documents": documents}
    if asked.top_n is not None:
        fields["top_n"] = min(asked.top_n, len(documents))
    return fields


def scores_in(reply: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Places and scores.

    Raises:
        ProviderFailedError: there are none.
    """
    results = reply.get("results")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise broken_reply("The reply holds no results.")
    return [(result.get("index"), result.get("relevance_score")) for result in results]


def _usage(meta: Any) -> Usage | None:
    if not isinstance(meta, dict):
        return None
    billed, tokens = _counts(meta, "billed_units"), _counts(meta, "tokens")
    searches, words = count_in(billed, "search_units"), count_in(billed, "input_tokens")
    words = count_in(tokens, "input_tokens") if words is None else words
    if searches is None and words is None:
        return None
    return Usage(words or 0, 0, search_units=searches or 0)


def _counts(meta: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    held = meta.get(name)
    return held if isinstance(held, dict) else {}

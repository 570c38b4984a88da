"""Rankings by InvokeModel: the bodies of Cohere's and Amazon's models.

Owns the bodies. Does not write the answer: ranking.py does. Invariant: nothing is counted here, for the reply says
nothing of what it costs; the estimate of searches holds.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.bedrock_invoke.invocation import Invocation, path_of, unknown_model
from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.cohere.rerank import rerank_fields
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.ranking import read_rerank, rerank_reply
from services.provider_adapter.protocols.translated import broken_reply, loads_reply

_COHERE_VERSION: Mapping[str, Any] = {"api_version": 2}
_AMAZON: Mapping[str, Any] = {}
_SCORES = ("relevance_score", "relevanceScore")


class BedrockRerank(Invocation):
    """See `WireProtocol`."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        asked = read_rerank(attempt)
        body = {**rerank_fields(asked), **_extra(attempt.provider_model_id)}
        return Prepared(path_of(attempt.provider_model_id), write_body(body), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        results = loads_reply(body).get("results")
        if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
            raise broken_reply("The reply holds no results.")
        scores = [(result.get("index"), _score(result)) for result in results]
        facts = ReplyFacts()
        facts.has_content = True
        return rerank_reply(attempt, prepared.asked, scores), facts


def _extra(model: str) -> Mapping[str, Any]:
    if "cohere.rerank" in model:
        return _COHERE_VERSION
    if "amazon.rerank" in model:
        return _AMAZON
    raise unknown_model(model)


def _score(result: Mapping[str, Any]) -> Any:
    return next((result[name] for name in _SCORES if name in result), None)

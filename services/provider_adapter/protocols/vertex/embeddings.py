"""Vertex AI's :predict for vectors as a `WireProtocol`.

Owns the request, the reply and the count. Does not write the answer: vectors.py does. Invariant: models that take one
input are asked for one; more are refused, and may be tried elsewhere.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.failures import Failure, ProviderFailedError
from services.provider_adapter.protocols.gemini.embeddings import task_of
from services.provider_adapter.protocols.gemini.errors import failure_of_answer, failure_of_event
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage
from services.provider_adapter.protocols.translated import broken_reply, loads_reply
from services.provider_adapter.protocols.vectors import embeddings_reply, read_embeddings
from services.provider_adapter.protocols.vertex.protocol import VertexGemini
from services.provider_adapter.protocols.whole_only import WholeOnly

_ONE_AT_A_TIME = "gemini-embedding"
_CHAT = VertexGemini()


class VertexEmbeddings(WholeOnly):
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return _CHAT.headers(credential)

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        asked = read_embeddings(attempt)
        model = attempt.provider_model_id
        texts = asked.texts()
        if len(texts) > 1 and model.startswith(_ONE_AT_A_TIME):
            raise cannot_carry("more than one input at a time")
        task = task_of(asked.input_type)
        common = {"task_type": task} if task else {}
        body: dict[str, Any] = {"instances": [{"content": text, **common} for text in texts]}
        if asked.dimensions is not None:
            body["parameters"] = {"outputDimensionality": asked.dimensions}
        path = f"/publishers/google/models/{quote(model, safe='-._~@')}:predict"
        return Prepared(path, write_body(body), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        reply = loads_reply(body)
        if "error" in reply:
            raise ProviderFailedError(failure_of_event(reply))
        embeddings = [_embeddings(one) for one in _predictions(reply)]
        facts = ReplyFacts()
        facts.has_content = True
        facts.usage = _usage(embeddings)
        return embeddings_reply(attempt, prepared.asked, [one.get("values") for one in embeddings]), facts

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)


def _predictions(reply: Mapping[str, Any]) -> list[Any]:
    predictions = reply.get("predictions")
    if not isinstance(predictions, list):
        raise broken_reply("The reply holds no predictions.")
    return predictions


def _embeddings(prediction: Any) -> Mapping[str, Any]:
    held = prediction.get("embeddings") if isinstance(prediction, dict) else None
    return held if isinstance(held, dict) else {}


def _usage(embeddings: list[Mapping[str, Any]]) -> Usage | None:
    """The tokens of all inputs; the provider writes them as 4 or 4.0. None if one is not counted."""
    total = 0
    for one in embeddings:
        statistics = one.get("statistics")
        count = statistics.get("token_count") if isinstance(statistics, dict) else None
        if type(count) not in {int, float} or not 0 <= count < 1 << 40:  # type: ignore[operator]
            return None
        total += int(count)  # type: ignore[arg-type]
    return Usage(total, 0) if total else None

"""The rerank format of Jina and of the hosts that copy it as a `WireProtocol`.

Owns the request and the reply. Does not shape what the caller gets: ranking.py does. Invariant: documents are never
asked back from a provider; the caller gets their own.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.failures import Failure, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.errors import broken, complaint_of, failure_of
from services.provider_adapter.protocols.openai_chat.response import note_identity
from services.provider_adapter.protocols.openai_embeddings.protocol import load_reply, usage_of_input
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage
from services.provider_adapter.protocols.ranking import RerankBody, read_rerank, rerank_reply
from services.provider_adapter.protocols.whole_only import WholeOnly

PATH = "/rerank"
_LIMIT_NAMES: Mapping[str, str] = {"voyage": "top_k"}
_RESULTS = ("results", "data", "rankings")
_SCORES = ("relevance_score", "score", "logit")
_MOST_SEARCHES = 1 << 40


class OpenAiRerank(WholeOnly):
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        asked = read_rerank(attempt)
        body: dict[str, Any] = {
            "model": attempt.provider_model_id,
            "query": asked.query,
            "documents": _documents(asked),
            "return_documents": False,
        }
        if asked.top_n is not None:
            body[_LIMIT_NAMES.get(dialect, "top_n")] = asked.top_n
        return Prepared(PATH, write_body(body), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        reply = load_reply(body)
        facts = ReplyFacts()
        note_identity(facts, reply)
        facts.usage = _usage(reply)
        facts.has_content = True
        return rerank_reply(attempt, prepared.asked, _scores(reply)), facts

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of(status, headers, body, now_s)


def _documents(asked: RerankBody) -> list[Any]:
    """Texts as texts; what has an image, as the caller sent it."""
    return [
        one["text"] if isinstance(one, dict) and one.get("image") is None and isinstance(one.get("text"), str) else one
        for one in asked.documents
    ]


def _scores(reply: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    results = next((reply[name] for name in _RESULTS if isinstance(reply.get(name), list)), None)
    if results is None:
        raise ProviderFailedError(broken(200, complaint_of(reply)))
    for one in results:
        found = one if isinstance(one, dict) else {}
        yield found.get("index"), next((found[name] for name in _SCORES if name in found), None)


def _usage(reply: Mapping[str, Any]) -> Usage | None:
    """Tokens as the host counts them, query and all, and searches where it bills those."""
    meta = reply.get("meta")
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    counted = meta.get("tokens") if isinstance(meta, dict) else None
    usage = usage_of_input(_totals(reply.get("usage"))) or usage_of_input(counted) or usage_of_input(billed)
    searches = billed.get("search_units") if isinstance(billed, dict) else None
    if type(searches) is float and searches.is_integer():
        searches = int(searches)
    if type(searches) is not int or not 0 < searches <= _MOST_SEARCHES:
        return usage
    return (usage or Usage(0, 0))._replace(search_units=searches)


def _totals(value: Any) -> Any:
    """The total, where it is more than what is called the prompt."""
    if not isinstance(value, dict) or not value.get("total_tokens"):
        return value
    return {"prompt_tokens": value["total_tokens"]}

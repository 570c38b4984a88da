"""Cohere v2 chat as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.cohere.errors import failure_of_answer
from services.provider_adapter.protocols.cohere.request import prepare
from services.provider_adapter.protocols.cohere.response import whole
from services.provider_adapter.protocols.cohere.stream import ChatStreamDecoder
from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.port import Attempt, MediaNeeds, Prepared, ReplyFacts


class CohereChat:
    """See `WireProtocol`. Pictures go by address; text has to be had to become a document."""

    media = MediaNeeds(frozenset({"file"}))

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> ChatStreamDecoder:
        return ChatStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)

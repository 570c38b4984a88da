"""Responses as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.openai_chat.errors import failure_of
from services.provider_adapter.protocols.openai_responses.request import prepare
from services.provider_adapter.protocols.openai_responses.response import whole
from services.provider_adapter.protocols.openai_responses.stream import ResponsesStreamDecoder
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts


class OpenAiResponses:
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        return prepare(attempt, dialect)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> ResponsesStreamDecoder:
        return ResponsesStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of(status, headers, body, now_s)

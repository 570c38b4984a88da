"""Gemini as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.gemini.errors import failure_of_answer
from services.provider_adapter.protocols.gemini.request import prepare
from services.provider_adapter.protocols.gemini.response import whole
from services.provider_adapter.protocols.gemini.stream import GeminiStreamDecoder
from services.provider_adapter.protocols.port import ALL_MEDIA, Attempt, MediaNeeds, Prepared, ReplyFacts

# Videos that Google has anyway.
VIDEOS = (
    "https://www.youtube.com/",
    "https://youtube.com/",
    "https://m.youtube.com/",
    "https://youtu.be/",
)


class Gemini:
    """See `WireProtocol`."""

    media = MediaNeeds(ALL_MEDIA, ("https://generativelanguage.googleapis.com/", *VIDEOS))

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"x-goog-api-key": credential} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> GeminiStreamDecoder:
        return GeminiStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)

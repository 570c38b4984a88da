"""The chat format as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.openai_chat.errors import failure_of
from services.provider_adapter.protocols.openai_chat.request import prepare
from services.provider_adapter.protocols.openai_chat.response import whole
from services.provider_adapter.protocols.openai_chat.stream import ChatStreamDecoder
from services.provider_adapter.protocols.port import Attempt, MediaNeeds, Prepared, ReplyFacts


class OpenAiChat:
    """See `WireProtocol`."""

    # Images are read by address; files and sound are in the request or nowhere.
    media = MediaNeeds(frozenset({"file", "input_audio"}))

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        return prepare(attempt, dialect)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> ChatStreamDecoder:
        return ChatStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of(status, headers, body, now_s)

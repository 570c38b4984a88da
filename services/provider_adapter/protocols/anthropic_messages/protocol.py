"""Anthropic Messages as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.anthropic_messages.errors import failure_of_answer
from services.provider_adapter.protocols.anthropic_messages.request import prepare
from services.provider_adapter.protocols.anthropic_messages.response import whole
from services.provider_adapter.protocols.anthropic_messages.stream import MessagesStreamDecoder
from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.port import Attempt, MediaNeeds, Prepared, ReplyFacts

_VERSION = {"anthropic-version": "2023-06-01"}
VISIBLE = frozenset({"image_url", "file"})
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_OAUTH_PREFIX = "sk-ant-oat"


class AnthropicMessages:
    """See `WireProtocol`."""

    # The provider reads addresses itself, but no unencrypted ones.
    media = MediaNeeds(VISIBLE, ("https://",), IMAGE_TYPES)

    def headers(self, credential: str) -> Mapping[str, str]:
        if credential.startswith(_OAUTH_PREFIX):
            return {"Authorization": f"Bearer {credential}", "anthropic-beta": "oauth-2025-04-20", **_VERSION}
        return {"x-api-key": credential, **_VERSION} if credential else _VERSION

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> MessagesStreamDecoder:
        return MessagesStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)

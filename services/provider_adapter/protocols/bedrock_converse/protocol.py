"""Bedrock Converse as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.bedrock_converse.errors import failure_of_answer
from services.provider_adapter.protocols.bedrock_converse.media import IMAGE_TYPES
from services.provider_adapter.protocols.bedrock_converse.request import prepare
from services.provider_adapter.protocols.bedrock_converse.response import whole
from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.port import ALL_MEDIA, Attempt, MediaNeeds, Prepared, ReplyFacts, StreamDecoder

_HEADERS = {"Accept": "*/*"}


class BedrockConverse:
    """See `WireProtocol`."""

    media = MediaNeeds(ALL_MEDIA, image_types=IMAGE_TYPES)

    def headers(self, credential: str) -> Mapping[str, str]:
        # A credential of several parts signs each request: credentials/aws.py does.
        is_key = credential and not credential.startswith("{")
        return {"Authorization": f"Bearer {credential}", **_HEADERS} if is_key else _HEADERS

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> StreamDecoder:
        # It loads botocore, for which whoever calls no Bedrock need not wait at start.
        from services.provider_adapter.protocols.bedrock_converse.stream import (  # noqa: PLC0415
            ConverseStreamDecoder,
        )

        return ConverseStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)

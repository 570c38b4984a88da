"""Oracle's own chat as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.oci.errors import failure_of_answer
from services.provider_adapter.protocols.oci.request import prepare
from services.provider_adapter.protocols.oci.response import whole
from services.provider_adapter.protocols.oci.stream import OciStreamDecoder
from services.provider_adapter.protocols.port import Attempt, MediaNeeds, Prepared, ReplyFacts


class OciChat:
    """See `WireProtocol`. Requests are signed; a bearer is what a proxy of the operator's may want."""

    media = MediaNeeds(frozenset({"image_url", "file"}))

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (there is one host)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> OciStreamDecoder:
        return OciStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)

"""GigaChat's chat and embeddings as `WireProtocol`s: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.gigachat.errors import failure_of_answer
from services.provider_adapter.protocols.gigachat.request import prepare
from services.provider_adapter.protocols.gigachat.response import whole
from services.provider_adapter.protocols.gigachat.stream import GigaChatStreamDecoder
from services.provider_adapter.protocols.gigachat.usage import usage_of_inputs
from services.provider_adapter.protocols.openai_embeddings.protocol import OpenAiEmbeddings, load_reply
from services.provider_adapter.protocols.port import Attempt, MediaNeeds, Prepared, ReplyFacts

_DIALECT = "gigachat"


class GigaChat:
    """See `WireProtocol`. Only the text of files can go along, and has to be had for that."""

    media = MediaNeeds(frozenset({"file"}))

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (there is one host)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> GigaChatStreamDecoder:
        return GigaChatStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)


class GigaChatEmbeddings(OpenAiEmbeddings):
    """See `WireProtocol`. OpenAI's, but that each vector has a count of its own."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (there is one host)
        return super().prepare(attempt, _DIALECT)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        json, facts = super().whole(attempt, prepared, body)
        facts.usage = facts.usage or usage_of_inputs(load_reply(body).get("data"))
        return json, facts

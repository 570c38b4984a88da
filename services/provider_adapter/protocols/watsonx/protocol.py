"""IBM watsonx.ai's chat as a `WireProtocol`: replies and streams are the chat format's, the rest is its own.

Owns what ties them together. Invariant: a stream is asked for by its path, and ends without `[DONE]`.

Sources: streams of real models in the tests of IBM's SDK for Java (`id`, `event: message`, chunks with `model_id`, `usage` in
a last chunk without choices), LiteLLM's `watsonx/common_utils.py` (paths, `project_id` or `space_id`, deployments).
"""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.openai_chat.stream import ChatStreamDecoder
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.watsonx.errors import failure_of_answer
from services.provider_adapter.protocols.watsonx.request import prepare


class WatsonxStreamDecoder(ChatStreamDecoder):
    """See `StreamDecoder`. Usage comes last and once: there is no other end mark."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        given = super().feed(data)
        self.ended = self.ended or self.facts.usage is not None
        return given


class WatsonxChat(OpenAiChat):
    """See `WireProtocol`."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (there is one door)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> WatsonxStreamDecoder:
        return WatsonxStreamDecoder(attempt, prepared)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)

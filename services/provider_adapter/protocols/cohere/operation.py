"""What Cohere's operations beside chat have in common: the proof, the errors, and how a reply is told from one."""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.cohere.errors import failure_of_answer, failure_of_event, is_error
from services.provider_adapter.protocols.failures import Failure, ProviderFailedError
from services.provider_adapter.protocols.port import ReplyFacts
from services.provider_adapter.protocols.translated import label, loads_reply
from services.provider_adapter.protocols.whole_only import WholeOnly


class CohereOperation(WholeOnly):
    """The half of a `WireProtocol` that they all answer alike."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)


def read_reply(body: bytes, result: str) -> tuple[dict[str, Any], ReplyFacts]:
    """A reply that should hold this field, and its id.

    Raises:
        ProviderFailedError: it is no JSON object, or an error.
    """
    reply = loads_reply(body)
    if result not in reply and is_error(reply):
        raise ProviderFailedError(failure_of_event(reply))
    facts = ReplyFacts()
    facts.upstream_id = label(reply.get("id"))
    facts.has_content = True
    return reply, facts

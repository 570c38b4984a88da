"""Oracle's embedText as a `WireProtocol`: Cohere's models under names of Oracle's own.

Owns the body and the reading of the reply. Invariant: texts, or one picture; vectors come in the order of the inputs.

Source: Oracle's SDK (`EmbedTextDetails`, `EmbedTextResult`) and LiteLLM's `oci/embed/transformation.py` (`outputDimensions`).
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.attachments import attachment_of
from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.failures import Failure, ProviderFailedError
from services.provider_adapter.protocols.input_parts import parts_of
from services.provider_adapter.protocols.oci.errors import failure_of_answer, failure_of_event, is_error
from services.provider_adapter.protocols.oci.request import envelope
from services.provider_adapter.protocols.oci.usage import usage_of_inputs
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, label, loads_reply
from services.provider_adapter.protocols.vectors import EmbeddingsBody, embeddings_reply, read_embeddings, text_of
from services.provider_adapter.protocols.whole_only import WholeOnly

PATH = "/20231130/actions/embedText"

_PURPOSES: Mapping[str, str] = {
    "query": "SEARCH_QUERY",
    "search_query": "SEARCH_QUERY",
    "retrieval_query": "SEARCH_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


class OciEmbeddings(WholeOnly):
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (there is one host)
        asked = read_embeddings(attempt)
        inputs, purpose = _inputs(asked)
        body: dict[str, Any] = {**envelope(attempt), "inputs": inputs, "inputType": purpose}
        if asked.dimensions is not None:
            body["outputDimensions"] = asked.dimensions
        return Prepared(PATH, write_body(body), asked=asked)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        reply = loads_reply(body)
        if is_error(reply):
            raise ProviderFailedError(failure_of_event(reply))
        vectors = reply.get("embeddings")
        if not isinstance(vectors, list):
            raise broken_reply("The reply holds no vectors.")
        facts = ReplyFacts()
        facts.upstream_id = label(reply.get("id"))
        facts.usage = usage_of_inputs(reply)
        facts.has_content = True
        return embeddings_reply(attempt, prepared.asked, vectors), facts

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)


def _inputs(asked: EmbeddingsBody) -> tuple[list[str], str]:
    """The inputs and what they are for; a picture goes alone.

    Raises:
        ProviderFailedError: an input has no form here.
    """
    if len(asked.inputs) == 1 and text_of(asked.inputs[0]) is None:
        parts = parts_of(asked.inputs[0])
        attachment = attachment_of(parts[0]) if len(parts) == 1 else None
        if attachment is None or not attachment.data or not attachment.mime_type.startswith("image/"):
            raise cannot_carry("inputs other than texts or one picture")
        return [f"data:{attachment.mime_type};base64,{attachment.data}"], "IMAGE"
    return asked.texts(), _PURPOSES.get(asked.input_type.lower(), "SEARCH_DOCUMENT")

"""The embeddings format as a `WireProtocol`.

Owns the request and the reply. Does not shape what the caller gets: vectors.py does. Invariant: fields that steer the
gateway and the caller's raw `user` never reach a provider.
"""

from array import array
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_chat.errors import broken, complaint_of, failure_of
from services.provider_adapter.protocols.openai_chat.request import GATEWAY_FIELDS
from services.provider_adapter.protocols.openai_chat.response import failure_in, note_identity
from services.provider_adapter.protocols.openai_chat.usage import usage_of
from services.provider_adapter.protocols.openai_embeddings.dialects import DIALECTS, PLAIN, EmbeddingsDialect, Encoding
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, Usage
from services.provider_adapter.protocols.vectors import EmbeddingsBody, embeddings_reply, read_embeddings, text_of
from services.provider_adapter.protocols.whole_only import WholeOnly


class OpenAiEmbeddings(WholeOnly):
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        asked = read_embeddings(attempt)
        rules = DIALECTS.get(dialect, PLAIN)
        body = _body(attempt, asked, rules)
        return Prepared(rules.path, write_body(body), asked=(asked, rules.encoding))

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        asked, encoding = prepared.asked
        reply = load_reply(body)
        facts = ReplyFacts()
        note_identity(facts, reply)
        facts.usage = usage_of_input(reply.get("usage"))
        facts.has_content = True
        return embeddings_reply(attempt, asked, _vectors(reply, len(asked.inputs), encoding)), facts

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of(status, headers, body, now_s)


def load_reply(body: bytes) -> Mapping[str, Any]:
    """A reply that is a JSON object and no error.

    Raises:
        ProviderFailedError: it is something else.
    """
    try:
        reply: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, "The reply is not valid JSON.")) from error
    failure = failure_in(reply)
    if failure is not None:
        raise ProviderFailedError(failure)
    found: Mapping[str, Any] = reply
    return found


def usage_of_input(value: Any) -> Usage | None:
    """Counts of an operation that takes tokens in and gives none out; many hosts say the total alone."""
    if not isinstance(value, dict):
        return None
    counts = (value.get(name) for name in ("prompt_tokens", "total_tokens", "input_tokens"))
    tokens = next((count for count in counts if count), None)
    if tokens is None:
        return None
    return usage_of({**value, "prompt_tokens": tokens, "completion_tokens": 0})


def _body(attempt: Attempt, asked: EmbeddingsBody, rules: EmbeddingsDialect) -> dict[str, Any]:
    body = dict(asked.fields)
    for name in (*GATEWAY_FIELDS, "stream", "encoding_format", *rules.dropped):
        body.pop(name, None)
    if attempt.user_hash and "user" not in rules.dropped:
        body["user"] = attempt.user_hash
    if rules.encoding is Encoding.ASKED:
        body["encoding_format"] = asked.encoding
    if "input_type" in body:
        word = rules.input_type(asked.input_type)
        if word:
            body["input_type"] = word
        else:
            del body["input_type"]
    for name, new_name in rules.renamed.items():
        if name in body:
            body[new_name] = body.pop(name)
    if isinstance(body.get("input"), list):
        # Parts that are all text are what a text is; other parts only some hosts read.
        body["input"] = [one if (text := text_of(one)) is None else text for one in asked.inputs]
        if type(asked.fields["input"][0]) is int:
            body["input"] = asked.fields["input"]
    body["model"] = attempt.provider_model_id
    return body


def _vectors(reply: Mapping[str, Any], inputs: int, encoding: Encoding) -> list[Any]:
    """In the order of the inputs."""
    data = reply.get("data")
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise ProviderFailedError(broken(200, complaint_of(reply)))
    vectors: list[Any] = [None] * max(inputs, len(data))
    for position, one in enumerate(data):
        index = one.get("index")
        place = index if type(index) is int and 0 <= index < len(vectors) else position
        vectors[place] = _of_bytes(one.get("embedding")) if encoding is Encoding.INT8 else one.get("embedding")
    return vectors


def _of_bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return array("b", b64decode(value, validate=True)).tolist()
    except (Base64Error, ValueError):
        return None

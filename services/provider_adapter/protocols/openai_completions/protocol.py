"""The text completions format as a `WireProtocol`: a prompt goes out, and what comes back is put as a chat.

Owns the request. The reply is chat's in all but the name of its text, and chat's modules read it. Invariant: the edge gets
the chat dialect whichever format an endpoint speaks.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.openai_chat.dialects import DIALECTS, PLAIN
from services.provider_adapter.protocols.openai_chat.errors import failure_of
from services.provider_adapter.protocols.openai_chat.request import GATEWAY_FIELDS
from services.provider_adapter.protocols.openai_chat.response import dumps_reply, whole
from services.provider_adapter.protocols.openai_chat.stream import ChatStreamDecoder
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.vectors import read_fields

PATH = "/completions"
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")


class OpenAiCompletions:
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        rules = DIALECTS.get(dialect, PLAIN)
        # The limit is a promise to the caller: only its name can be unsupported.
        body = read_fields(attempt, kept=_LIMIT_NAMES)
        limit = attempt.max_tokens or next((body[name] for name in reversed(_LIMIT_NAMES) if name in body), None)
        for name in (*GATEWAY_FIELDS, *_LIMIT_NAMES, "stream_options"):
            body.pop(name, None)
        if limit is not None:
            body["max_tokens"] = limit
        if attempt.user_hash:
            body["user"] = attempt.user_hash
        body["stream"] = attempt.stream
        if attempt.stream and rules.stream_options:
            body["stream_options"] = {"include_usage": True}
        body["model"] = attempt.provider_model_id
        return Prepared(PATH, write_body(body))

    def decoder(self, attempt: Attempt, prepared: Prepared) -> ChatStreamDecoder:
        return _CompletionStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, _as_chat(body))

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of(status, headers, body, now_s)


class _CompletionStreamDecoder(ChatStreamDecoder):
    """Chat's decoder, for choices whose text has another name."""

    __slots__ = ()

    def _convert_choice(self, choice: Any) -> dict[str, Any] | None:
        if type(choice) is dict and "delta" not in choice:
            choice["delta"] = {"content": choice.pop("text", None)}
        return super()._convert_choice(choice)


def _as_chat(body: bytes) -> bytes:
    """The reply with messages for texts; whatever is no such reply stays as it is, for chat's reader to judge."""
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    choices = reply.get("choices") if isinstance(reply, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and "message" not in choice and "text" in choice:
            choice["message"] = {"content": choice.pop("text")}
    return dumps_reply(reply)

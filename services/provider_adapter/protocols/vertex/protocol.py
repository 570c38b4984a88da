"""Gemini and Claude on Vertex AI as `WireProtocol`s.

Owns what the cloud's door does otherwise: paths, who calls, and what each format lacks behind it. The formats are those
of gemini/ and anthropic_messages/. Invariant: a base URL ends before `/publishers`, so that one serves both.
"""

from collections.abc import Mapping
from urllib.parse import quote

import orjson

from services.provider_adapter.protocols.anthropic_messages import errors as claude_errors
from services.provider_adapter.protocols.anthropic_messages.models import traits_of
from services.provider_adapter.protocols.anthropic_messages.protocol import IMAGE_TYPES, VISIBLE, AnthropicMessages
from services.provider_adapter.protocols.anthropic_messages.request import request_of
from services.provider_adapter.protocols.chat_body import write_body
from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.gemini import errors as google_errors
from services.provider_adapter.protocols.gemini.contents import Door
from services.provider_adapter.protocols.gemini.protocol import VIDEOS, Gemini
from services.provider_adapter.protocols.gemini.request import prepare
from services.provider_adapter.protocols.port import ALL_MEDIA, Attempt, MediaNeeds, Prepared

# Keys of the express mode; anything else is an access token.
_API_KEYS = ("AIza", "AQ.")
_DOOR = Door("/publishers/google", ids=False, files=("gs://",))
_CLAUDE_VERSION = "vertex-2023-10-16"


def _who(credential: str) -> Mapping[str, str]:
    if not credential:
        return {}
    return (
        {"x-goog-api-key": credential}
        if credential.startswith(_API_KEYS)
        else {"Authorization": f"Bearer {credential}"}
    )


class VertexGemini(Gemini):
    """See `WireProtocol`."""

    media = MediaNeeds(ALL_MEDIA, VIDEOS)

    def headers(self, credential: str) -> Mapping[str, str]:
        return _who(credential)

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        return prepare(attempt, _DOOR)


class VertexClaude(AnthropicMessages):
    """See `WireProtocol`."""

    media = MediaNeeds(VISIBLE, (), IMAGE_TYPES)

    def headers(self, credential: str) -> Mapping[str, str]:
        return _who(credential)

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (models, not hosts, differ here)
        # Tiers and structured output are the maker's own host's.
        made = request_of(attempt, traits_of(attempt.provider_model_id)._replace(tiers=False, schemas=False))
        del made.body["model"]
        body = {"anthropic_version": _CLAUDE_VERSION, **made.body}
        model = quote(attempt.provider_model_id, safe="-._~@")
        method = "streamRawPredict" if attempt.stream else "rawPredict"
        path = f"/publishers/anthropic/models/{model}:{method}"
        return Prepared(path, write_body(body), made.hide_reasoning, made.answer_tool, made.headers, tools=made.tools)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        """The cloud speaks where the model's maker did not come to."""
        read = google_errors.failure_of_answer if _is_googles(body) else claude_errors.failure_of_answer
        return read(status, headers, body, now_s)


def _is_googles(body: bytes) -> bool:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if isinstance(value, list):
        value = value[0] if value else None
    error = value.get("error") if isinstance(value, dict) else None
    return isinstance(error, dict) and "status" in error

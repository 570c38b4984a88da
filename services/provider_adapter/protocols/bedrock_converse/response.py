"""Converse's replies in chat's shape: finish reasons, thoughts, calls, images and citations.

Owns whole replies and the pieces that streams share with them. Does not frame events: stream.py does. Invariant:
`finish_reason` is one of chat's words or null, the provider's own word stands beside it.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.bedrock_converse.errors import failure_of_answer
from services.provider_adapter.protocols.bedrock_converse.messages import BEDROCK_FORMAT, reasoning_format
from services.provider_adapter.protocols.bedrock_converse.models import traits_of
from services.provider_adapter.protocols.bedrock_converse.usage import usage_of
from services.provider_adapter.protocols.blocks import GatheredBlocks, finish_of, url_citation
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import whole_choice, whole_reply
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import label, loads_reply

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
_FORMATS = frozenset({"png", "jpeg", "gif", "webp"})


def tier_of(holder: Mapping[str, Any]) -> str:
    """The service tier of a reply or of a stream's metadata."""
    tier = holder.get("serviceTier")
    return label(tier.get("type")) if isinstance(tier, dict) else ""


def annotation_of(citation: Any, start: int, end: int) -> dict[str, Any] | None:
    """A citation of something with an address; places in documents of the caller's have no form in chat."""
    if not isinstance(citation, dict):
        return None
    location = citation.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    url = (web.get("url") if isinstance(web, dict) else None) or citation.get("source")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    return url_citation(url, citation.get("title"), joined_text(citation.get("sourceContent")), start, end)


def joined_text(pieces: Any) -> str:
    """`[{text}, …]` as one text."""
    texts = [piece.get("text") for piece in pieces if isinstance(piece, dict)] if isinstance(pieces, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def image_of(form: Any, source: Any, index: int) -> dict[str, Any] | None:
    """A generated image in chat's form; None if there is none."""
    data = source.get("bytes") if isinstance(source, dict) else None
    if not isinstance(data, str) or not data or form not in _FORMATS:
        return None
    return {"type": "image_url", "image_url": {"url": f"data:image/{form};base64,{data}"}, "index": index}


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, or is no reply.
    """
    reply = loads_reply(body)
    output = reply.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    blocks = message.get("content") if isinstance(message, dict) else None
    if not isinstance(blocks, list):
        raise ProviderFailedError(failure_of_answer(200, {}, body, 0))
    form = reasoning_format(traits_of(attempt.provider_model_id))
    facts, gathered = ReplyFacts(), _Gathered(prepared.answer_tool, form)
    for block in blocks:
        if isinstance(block, dict):
            gathered.add(block)
    said = gathered.message()
    facts.usage = usage_of(reply.get("usage"))
    facts.service_tier = tier_of(reply)
    facts.has_content = any(said.values())
    finish = finish_of(FINISH_REASONS, reply.get("stopReason"), called=bool(gathered.calls), answered=gathered.answered)
    facts.finish_reason, facts.native_finish_reason = finish
    return whole_reply(attempt, facts, [whole_choice(0, said, finish, prepared)]), facts


class _Gathered(GatheredBlocks):
    """The blocks of one message, each a union of one member."""

    def __init__(self, answer_tool: str, form: str) -> None:
        super().__init__(answer_tool, form)
        self._images: list[dict[str, Any]] = []

    def add(self, block: Mapping[str, Any]) -> None:
        for kind, value in block.items():
            if kind == "text" and isinstance(value, str):
                self.add_text(value)
            elif isinstance(value, dict):
                self._add_member(kind, value)

    def message(self) -> dict[str, Any]:
        message = super().message()
        return {**message, "images": self._images} if self._images else message

    def _add_member(self, kind: str, value: dict[str, Any]) -> None:
        match kind:
            case "toolUse" if value.get("type") != "server_tool_use":
                self.add_call(value.get("toolUseId"), value.get("name"), value.get("input"))
            case "reasoningContent":
                self._add_reasoning(value)
            case "citationsContent":
                start, end = self.add_text(joined_text(value.get("content")))
                citations = value.get("citations")
                for citation in citations if isinstance(citations, list) else ():
                    self.add_annotation(annotation_of(citation, start, end))
            case "image":
                image = image_of(value.get("format"), value.get("source"), len(self._images))
                if image is not None:
                    self._images.append(image)

    def _add_reasoning(self, value: dict[str, Any]) -> None:
        told, redacted = value.get("reasoningText"), value.get("redactedContent")
        if isinstance(told, dict):
            self.add_thought(told.get("text"), told.get("signature"))
        elif isinstance(redacted, str) and redacted:
            self.add_redacted(redacted, BEDROCK_FORMAT)

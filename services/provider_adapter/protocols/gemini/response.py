"""Gemini's replies in chat's shape: finish reasons, thoughts, calls, images and citations.

Owns whole replies and the reading of candidates that streams share with them. Does not frame events: stream.py does.
Invariant: `finish_reason` is one of chat's words or null, the provider's own word stands beside it.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.gemini.contents import IMAGE_PREFIX, MINTED_PREFIX, REASONING_FORMAT
from services.provider_adapter.protocols.gemini.errors import failure_of_event
from services.provider_adapter.protocols.gemini.usage import usage_of
from services.provider_adapter.protocols.openai_chat.response import dumps_reply, whole_choice, whole_reply
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, label, loads_reply

_MOST_CITATIONS = 1_024
_TIERS: Mapping[str, str] = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
_UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
_FINISH_REASONS: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "LANGUAGE": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "OTHER": "error",
    "IMAGE_OTHER": "error",
    "NO_IMAGE": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
}


def finish_of(native: Any, *, called: bool) -> tuple[str, str]:
    """The normalised and the native finish reason; both empty when there is none."""
    if not isinstance(native, str) or not native:
        return "", ""
    if native == _UNSPECIFIED:
        return "", native
    normal = _FINISH_REASONS.get(native, "stop")
    return ("tool_calls" if called and normal == "stop" else normal), native[:64]


def block_reason_in(reply: Mapping[str, Any]) -> str:
    """Why the prompt was refused."""
    feedback = reply.get("promptFeedback")
    return label(feedback.get("blockReason")) if isinstance(feedback, dict) else ""


def block_words_in(reply: Mapping[str, Any]) -> str:
    """What is said about that."""
    feedback = reply.get("promptFeedback")
    words = feedback.get("blockReasonMessage") if isinstance(feedback, dict) else None
    return words if isinstance(words, str) else ""


def refusal_of(candidate: Mapping[str, Any], finish: str) -> str:
    """Why an answer was filtered, where that is said."""
    words = candidate.get("finishMessage")
    return words if finish == "content_filter" and isinstance(words, str) else ""


def tier_of(usage: Any) -> str:
    """The service tier in chat's words, where it is not the usual one."""
    traffic = usage.get("trafficType") if isinstance(usage, dict) else None
    return _TIERS.get(traffic, "") if isinstance(traffic, str) else ""


class Speaker:
    """One candidate as it goes on: numbers its calls, its pictures and its reasoning, and cites each source once."""

    __slots__ = ("_answer_tool", "_calls", "_cited", "_details", "_images", "_minted_id", "_thinking")

    def __init__(self, attempt: Attempt, answer_tool: str, index: int) -> None:
        self._answer_tool = answer_tool
        choice = f"{index}_" if index else ""
        self._minted_id = f"{MINTED_PREFIX}{attempt.generation_id[-20:]}_{choice}"
        self._calls = 0
        self._cited: set[tuple[str, int, int]] = set()
        self._details = 0
        self._images = 0
        self._thinking = False

    @property
    def called(self) -> bool:
        return self._calls > 0

    def delta(self, parts: Any) -> dict[str, Any]:
        """What these parts add, as a chat delta; empty if nothing."""
        said = _Said()
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._add(part, said)
        return said.delta()

    def new_annotations(self, candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Citations that were not told before: Google repeats them from event to event."""
        found = []
        for annotation in annotations_of(candidate):
            cited = annotation["url_citation"]
            key = (cited["url"], cited["start_index"], cited["end_index"])
            if key not in self._cited and len(self._cited) < _MOST_CITATIONS:
                self._cited.add(key)
                found.append(annotation)
        return found

    def _add(self, part: Mapping[str, Any], said: "_Said") -> None:
        text, signature, owner = part.get("text"), part.get("thoughtSignature"), None
        if isinstance(text, str) and text:
            if part.get("thought") is True:
                said.thoughts.append(text)
                said.details.append(self._detail("reasoning.text", text=text))
            else:
                self._thinking = False
                said.texts.append(text)
        call = part.get("functionCall")
        if isinstance(call, dict) and (call.get("name") or call.get("args")):
            owner = self._add_call(call, said)
        media = part.get("inlineData")
        if isinstance(media, dict) and not part.get("thought") and said.add_media(media, self._images):
            owner = f"{IMAGE_PREFIX}{self._images}"
            self._images += 1
        if isinstance(signature, str) and signature:
            fields = {"id": owner} if owner else {}
            said.details.append(self._detail("reasoning.encrypted", data=signature, **fields))

    def _add_call(self, call: Mapping[str, Any], said: "_Said") -> str | None:
        given = call.get("args")
        arguments = dumps_reply(given if given is not None else {}).decode()
        name = label(call.get("name"))
        if self._answer_tool and name == self._answer_tool:
            said.texts.append(arguments)
            return None
        call_id = label(call.get("id")) or f"{self._minted_id}{self._calls}"
        function = {"name": name, "arguments": arguments}
        said.calls.append({"index": self._calls, "id": call_id, "type": "function", "function": function})
        self._calls += 1
        return call_id

    def _detail(self, kind: str, **fields: str) -> dict[str, Any]:
        """A detail; the pieces of one thought share their index, so that clients can put them together."""
        goes_on = self._thinking and kind == "reasoning.text"
        if not goes_on:
            self._details += 1
        self._thinking = kind == "reasoning.text"
        return {"type": kind, **fields, "format": REASONING_FORMAT, "index": self._details - 1}


class _Said:
    """What some parts say, in chat's drawers."""

    __slots__ = ("audio", "calls", "details", "images", "texts", "thoughts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.details: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.audio: list[str] = []

    def add_media(self, media: Mapping[str, Any], index: int) -> bool:
        """Whether it is a picture; the index is for that."""
        mime_type, data = label(media.get("mimeType")), media.get("data")
        if not isinstance(data, str):
            return False
        if mime_type.startswith("audio/"):
            self.audio.append(data)
            return False
        url = f"data:{mime_type or 'image/png'};base64,{data}"
        self.images.append({"type": "image_url", "image_url": {"url": url}, "index": index})
        return True

    def delta(self) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        if self.texts:
            delta["content"] = "".join(self.texts)
        if self.thoughts:
            delta["reasoning"] = "".join(self.thoughts)
        if self.calls:
            delta["tool_calls"] = self.calls
        if self.images:
            delta["images"] = self.images
        if self.audio:
            delta["audio"] = {"data": joined_base64(self.audio)}
        if self.details:
            delta["reasoning_details"] = self.details
        return delta


def joined_base64(pieces: list[str]) -> str:
    """Base64 of all the bytes; pieces that are none are passed on as they are."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)


def annotations_of(candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Citations with an address; places are as the provider counts them."""
    found: list[dict[str, Any]] = []
    grounding = candidate.get("groundingMetadata")
    if isinstance(grounding, dict):
        found.extend(_grounded(grounding))
    cited = candidate.get("citationMetadata")
    sources = cited.get("citations", cited.get("citationSources")) if isinstance(cited, dict) else None
    found.extend(
        _citation(source["uri"], source.get("title"), "", source)
        for source in _objects(sources)
        if isinstance(source.get("uri"), str)
    )
    return found


def _grounded(grounding: Mapping[str, Any]) -> list[dict[str, Any]]:
    chunks = grounding.get("groundingChunks")
    pages = [_page(chunk) for chunk in chunks] if isinstance(chunks, list) else []
    found = []
    for support in _objects(grounding.get("groundingSupports")):
        segment, places = support.get("segment"), support.get("groundingChunkIndices")
        if not isinstance(segment, dict) or not isinstance(places, list):
            continue
        for place in places:
            page = pages[place] if type(place) is int and 0 <= place < len(pages) else None
            if isinstance(page, dict) and isinstance(page.get("uri"), str):
                found.append(_citation(page["uri"], page.get("title"), segment.get("text"), segment))
    if not found:
        found.extend(
            _citation(page["uri"], page.get("title"), page.get("text"), {})
            for page in pages
            if isinstance(page, dict) and isinstance(page.get("uri"), str)
        )
    return found


def _page(chunk: Any) -> Any:
    kinds = [chunk.get(kind) for kind in ("web", "retrievedContext", "maps")] if isinstance(chunk, dict) else []
    return next((page for page in kinds if isinstance(page, dict)), None)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _citation(url: str, title: Any, content: Any, place: Mapping[str, Any]) -> dict[str, Any]:
    start, end = place.get("startIndex"), place.get("endIndex")
    return {
        "type": "url_citation",
        "url_citation": {
            "url": url,
            "title": title if isinstance(title, str) else "",
            "content": content if isinstance(content, str) else "",
            "start_index": start if type(start) is int else 0,
            "end_index": end if type(end) is int else 0,
        },
    }


def logprobs_of(candidate: Mapping[str, Any]) -> dict[str, Any] | None:
    """Log probabilities in chat's shape."""
    result = candidate.get("logprobsResult")
    chosen = result.get("chosenCandidates") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(chosen, list):
        return None
    rows = result.get("topCandidates")
    tops = rows if isinstance(rows, list) else []
    content = []
    for place, token in enumerate(chosen):
        if isinstance(token, dict):
            top = tops[place].get("candidates") if place < len(tops) and isinstance(tops[place], dict) else None
            others = [_token(other) for other in top if isinstance(other, dict)] if isinstance(top, list) else []
            content.append({**_token(token), "top_logprobs": others})
    return {"content": content, "refusal": None}


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    text = str(token.get("token") or "")
    return {"token": text, "logprob": token.get("logProbability"), "bytes": list(text.encode("utf-8", "replace"))}


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, or holds no candidate.
    """
    reply = loads_reply(body)
    if "error" in reply:
        raise ProviderFailedError(failure_of_event(reply))
    facts = ReplyFacts()
    facts.usage = usage_of(reply.get("usageMetadata"))
    facts.upstream_id = label(reply.get("responseId"))
    facts.service_tier = tier_of(reply.get("usageMetadata"))
    candidates = reply.get("candidates")
    if isinstance(candidates, list) and candidates:
        choices = [_choice(candidate, place, attempt, prepared, facts) for place, candidate in enumerate(candidates)]
        return whole_reply(attempt, facts, choices), facts
    blocked = block_reason_in(reply)
    if not blocked:
        raise broken_reply("The reply holds no candidate.")
    facts.finish_reason, facts.native_finish_reason = "content_filter", blocked
    why = block_words_in(reply)
    facts.has_content = bool(why)
    message = {"content": "", "refusal": why} if why else {"content": ""}
    choice = whole_choice(0, message, ("content_filter", blocked), prepared)
    return whole_reply(attempt, facts, [choice]), facts


def _choice(candidate: Any, place: int, attempt: Attempt, prepared: Prepared, facts: ReplyFacts) -> dict[str, Any]:
    if not isinstance(candidate, dict):
        raise broken_reply("A candidate is no object.")
    index = candidate.get("index")
    index = index if type(index) is int else place
    speaker = Speaker(attempt, prepared.answer_tool, index)
    content = candidate.get("content")
    message = speaker.delta(content.get("parts") if isinstance(content, dict) else None)
    facts.has_content = facts.has_content or bool(message)
    if "content" not in message and not speaker.called:
        message["content"] = ""
    for call in message.get("tool_calls", ()):
        del call["index"]
    annotations = speaker.new_annotations(candidate)
    if annotations:
        message["annotations"] = annotations
    finish = finish_of(candidate.get("finishReason"), called=speaker.called)
    why = refusal_of(candidate, finish[0])
    if why:
        message["refusal"] = why
    if place == 0:
        facts.finish_reason, facts.native_finish_reason = finish
    return whole_choice(index, message, finish, prepared, logprobs_of(candidate))

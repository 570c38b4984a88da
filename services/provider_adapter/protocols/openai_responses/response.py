"""Replies of Responses in chat's shape: statuses, items and annotations.

Owns whole replies and the pieces that streams share with them. Does not frame events: stream.py does. Invariant:
`finish_reason` is one of chat's words or null, the provider's own word stands beside it.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import whole_choice, whole_reply
from services.provider_adapter.protocols.openai_responses.errors import failure_of_error
from services.provider_adapter.protocols.openai_responses.items import REASONING_FORMAT
from services.provider_adapter.protocols.openai_responses.usage import usage_of
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, label, loads_reply

BETWEEN_SUMMARIES = "\n\n"

_LONGEST_SIGNATURE = 1 << 22
_REASONS: Mapping[str, str] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


def finish_of(response: Mapping[str, Any], *, called: bool) -> tuple[str, str]:
    """The normalised and the native finish reason of a response that ended; both empty if nobody knows why it did."""
    if response.get("status") != "incomplete":
        return ("tool_calls" if called else "stop"), "completed"
    details = response.get("incomplete_details")
    reason = label(details.get("reason")) if isinstance(details, dict) else ""
    return (_REASONS.get(reason, "length"), reason) if reason else ("", "")


def annotation_of(annotation: Any) -> dict[str, Any] | None:
    """A citation of an address; places in files have no form in chat."""
    if not isinstance(annotation, dict) or annotation.get("type") != "url_citation":
        return None
    url = annotation.get("url")
    if not isinstance(url, str) or not url:
        return None
    return {
        "type": "url_citation",
        "url_citation": {
            "url": url,
            "title": str(annotation.get("title") or ""),
            "content": str(annotation.get("content") or ""),
            "start_index": _place(annotation.get("start_index")),
            "end_index": _place(annotation.get("end_index")),
        },
    }


def annotations_in(holder: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = holder.get("annotations")
    found = map(annotation_of, given) if isinstance(given, list) else ()
    return [annotation for annotation in found if annotation is not None]


def detail(kind: str, name: str, value: str, item_id: str, index: int) -> dict[str, Any]:
    """One of `reasoning_details`; the index is the place of its item in the reply."""
    made: dict[str, Any] = {"type": f"reasoning.{kind}", name: value, "format": REASONING_FORMAT, "index": index}
    if item_id:
        made["id"] = item_id
    return made


def encrypted_in(item: Mapping[str, Any]) -> str:
    encrypted = item.get("encrypted_content")
    return encrypted if isinstance(encrypted, str) and len(encrypted) <= _LONGEST_SIGNATURE else ""


def texts_in(item: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a reasoning item's summary or content."""
    parts = item.get(name)
    texts = (part.get("text") for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()
    return [text for text in texts if isinstance(text, str) and text]


def image_in(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """A generated image as chat's `images` have it."""
    data = item.get("result")
    if not isinstance(data, str) or not data:
        return None
    form = item.get("output_format")
    form = form if isinstance(form, str) and form.isalnum() else "png"
    return {"type": "image_url", "image_url": {"url": f"data:image/{form};base64,{data}"}}


def call_of(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """A call of one of the caller's tools, with what has been written of its input so far."""
    given = label(item.get("call_id")) or label(item.get("id"))
    if item.get("type") == "function_call":
        arguments = item.get("arguments")
        function = {"name": label(item.get("name")), "arguments": arguments if isinstance(arguments, str) else ""}
        return {"id": given, "type": "function", "function": function}
    if item.get("type") == "custom_tool_call":
        written = item.get("input")
        custom = {"name": label(item.get("name")), "input": written if isinstance(written, str) else ""}
        return {"id": given, "type": "custom", "custom": custom}
    return None


def logprobs_of(given: Any) -> dict[str, Any] | None:
    return {"content": given, "refusal": None} if isinstance(given, list) and given else None


def note_response(facts: ReplyFacts, response: Mapping[str, Any]) -> None:
    """Keeps the provider's id and the counts; the last well-formed ones hold."""
    facts.upstream_id = label(response.get("id")) or facts.upstream_id
    facts.usage = usage_of(response.get("usage")) or facts.usage


def check_response(response: Mapping[str, Any]) -> None:
    """Lets pass what is no error.

    Raises:
        ProviderFailedError: it is one, or ended in one.
    """
    if response.get("error") or response.get("type") == "error" or "errors" in response:
        raise ProviderFailedError(failure_of_error(response))
    status = response.get("status")
    if isinstance(status, str) and status in {"failed", "cancelled"}:
        raise broken_reply(f"The response {status}.")


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, or is no response.
    """
    response = loads_reply(body)
    check_response(response)
    items = response.get("output")
    if not isinstance(items, list):
        raise broken_reply("The reply holds no output.")
    facts, gathered = ReplyFacts(), _Gathered()
    note_response(facts, response)
    facts.service_tier = label(response.get("service_tier"))
    for index, item in enumerate(items):
        if isinstance(item, dict):
            gathered.add(index, item)
    message = gathered.message()
    facts.has_content = any(message.values())
    finish = finish_of(response, called=bool(gathered.calls))
    facts.finish_reason, facts.native_finish_reason = finish
    choice = whole_choice(0, message, finish, prepared, logprobs_of(gathered.logprobs))
    return whole_reply(attempt, facts, [choice]), facts


class _Gathered:
    """The items of one response, in chat's drawers."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.logprobs: list[Any] = []
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []

    def add(self, index: int, item: Mapping[str, Any]) -> None:
        match item.get("type"):
            case "message":
                content = item.get("content")
                for part in content if isinstance(content, list) else ():
                    if isinstance(part, dict):
                        self._add_part(part)
            case "reasoning":
                self._add_thought(index, item)
            case "function_call" | "custom_tool_call":
                call = call_of(item)
                assert call is not None
                if call["type"] == "function":
                    call["function"]["arguments"] = call["function"]["arguments"] or "{}"
                self.calls.append(call)
            case "image_generation_call":
                image = image_in(item)
                if image is not None:
                    self._images.append(image)

    def message(self) -> dict[str, Any]:
        content = "".join(self._texts)
        message: dict[str, Any] = {"content": content if content or not self.calls else None}
        for name, texts in (("refusal", self._refusals), ("reasoning", self._thoughts)):
            if texts:
                message[name] = "".join(texts)
        lists = {
            "tool_calls": self.calls,
            "reasoning_details": self._details,
            "annotations": self._annotations,
            "images": self._images,
        }
        return message | {name: values for name, values in lists.items() if values}

    def _add_part(self, part: Mapping[str, Any]) -> None:
        text, refusal = part.get("text"), part.get("refusal")
        if part.get("type") == "output_text" and isinstance(text, str):
            self._texts.append(text)
            self._annotations += annotations_in(part)
            given = part.get("logprobs")
            self.logprobs += given if isinstance(given, list) else []
        elif part.get("type") == "refusal" and isinstance(refusal, str):
            self._refusals.append(refusal)

    def _add_thought(self, index: int, item: Mapping[str, Any]) -> None:
        item_id = label(item.get("id"))
        summary = BETWEEN_SUMMARIES.join(texts_in(item, "summary"))
        thought = "".join(texts_in(item, "content"))
        self._thoughts.append(thought or summary)
        if summary:
            self._details.append(detail("summary", "summary", summary, item_id, index))
        if thought:
            self._details.append(detail("text", "text", thought, item_id, index))
        encrypted = encrypted_in(item)
        if encrypted:
            self._details.append(detail("encrypted", "data", encrypted, item_id, index))


def _place(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0

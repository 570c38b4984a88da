"""Predictions in chat's shape, and what a prediction says of where it is.

Owns whole replies and the last look at a prediction that streamed. Invariant: a prediction has no finish reason of its own:
what reached the limit ended for that, any other that succeeded stopped.

Source: Replicate's HTTP API: `status` (starting, processing, succeeded, failed, canceled), `output` (a text, or texts to be
joined), `error`, `metrics`, `urls`.
"""

from typing import Any

from services.provider_adapter.protocols.blocks import GatheredBlocks
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.openai_chat.response import whole_choice, whole_reply
from services.provider_adapter.protocols.openai_chat.think_tags import split_whole
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.replicate.errors import failure_of_prediction
from services.provider_adapter.protocols.replicate.request import Asked
from services.provider_adapter.protocols.replicate.usage import usage_of
from services.provider_adapter.protocols.translated import broken_reply, label, loads_reply

REASONING_FORMAT = "unknown"
SUCCEEDED = "succeeded"

_UNDER_WAY = frozenset({"starting", "processing", "queued"})
_FAILED = frozenset({"failed", "canceled", "aborted"})


def asked_of(prepared: Prepared) -> Asked:
    return prepared.asked if isinstance(prepared.asked, Asked) else Asked()


def prediction_in(body: bytes) -> dict[str, Any]:
    """A prediction that has not failed.

    Raises:
        ProviderFailedError: the body is none, or it failed.
    """
    prediction = loads_reply(body)
    status = prediction.get("status")
    if status in _FAILED or (prediction.get("error") and status not in {*_UNDER_WAY, SUCCEEDED}):
        raise ProviderFailedError(failure_of_prediction(prediction.get("error")))
    if status not in {*_UNDER_WAY, SUCCEEDED}:
        raise broken_reply("The reply is no prediction.")
    return prediction


def address_in(prediction: dict[str, Any], name: str) -> str:
    """One of the addresses that a prediction names; empty: it does not."""
    urls = prediction.get("urls")
    address = urls.get(name) if isinstance(urls, dict) else None
    return address if isinstance(address, str) else ""


def is_under_way(prediction: dict[str, Any]) -> bool:
    return prediction["status"] in _UNDER_WAY


def finish_of(facts: ReplyFacts, asked: Asked) -> tuple[str, str]:
    usage = facts.usage
    ended = usage is not None and asked.limit is not None and usage.completion_tokens >= asked.limit
    return ("length" if ended else "stop"), SUCCEEDED


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is no prediction, or it failed, or it is not over.
    """
    prediction = prediction_in(body)
    if is_under_way(prediction):
        raise broken_reply("The prediction is not over.")
    asked = asked_of(prepared)
    text = _text(prediction.get("output"))
    gathered = GatheredBlocks("", REASONING_FORMAT)
    if asked.think_tags:
        thought, text = split_whole(text)
        if thought:
            gathered.add_thought(thought, None)
    if text:
        gathered.add_text(text)
    facts = ReplyFacts()
    message = gathered.message()
    facts.usage = usage_of(prediction.get("metrics"))
    facts.upstream_id = label(prediction.get("id"))
    facts.has_content = any(message.values())
    finish = finish_of(facts, asked)
    facts.finish_reason, facts.native_finish_reason = finish
    return whole_reply(attempt, facts, [whole_choice(0, message, finish, prepared)]), facts


def _text(output: Any) -> str:
    if output is None:
        return ""
    if isinstance(output, str):
        return output
    if isinstance(output, dict) and isinstance(output.get("text"), str):
        text: str = output["text"]
        return text
    if isinstance(output, list) and all(isinstance(piece, str) for piece in output):
        return "".join(output)
    raise broken_reply("The prediction's output is no text.")

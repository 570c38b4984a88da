"""A prediction as a NativeFormat: reads a checked input into what the core answers.

Owns the reading and the count of tokens. Does not own checks (validation.py), bytes (prediction_reply.py) or the life of
a prediction (prediction_server.py). Invariant: what is counted is what was sent, directive and all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.protocols.native import NativeRequest, RefusedNativeError
from services.provider_simulator.protocols.openai.errors import error_headers
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.replicate.prediction_reply import Prediction, PredictionReply, error_body
from services.provider_simulator.protocols.replicate.validation import check_prediction
from services.provider_simulator.protocols.strict import InvalidError, dotted

_LIMITS = ("max_tokens", "max_new_tokens", "max_completion_tokens", "max_output_tokens")
_PER_IMAGE = 85
# Before what the user said last, in a conversation that is told as one text.
_USER = "User: "
_WORKED_OUT = ("prompt", "system_prompt", "system_instruction")


@dataclass(frozen=True, slots=True)
class PredictionRequest(NativeRequest):
    """A checked request, and what is kept of its prediction."""

    prediction: Prediction | None = None


class PredictionFormat:
    """See `NativeFormat`. Model and id come with the body, where the server of predictions put them."""

    def __init__(self, kept: Mapping[str, Prediction]) -> None:
        self._kept = kept

    def authorize(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in {"bearer", "token"} or not token.strip():
            raise RefusedNativeError("You did not pass an authentication token", status=401)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (see the class)
        return str(body.get("model"))

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> PredictionRequest:  # noqa: ARG002 (the body says it all)
        try:
            check_prediction(body["model"], body)
        except InvalidError as error:
            raise RefusedNativeError(f"{dotted(error.where)}: {error.words}", status=422) from None
        given = body["input"]
        try:
            directive, prompt = find_directive([_asked(given)])
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        limit = next((given[name] for name in _LIMITS if name in given), None)
        ask = Ask(prompt, _prompt_tokens(given, counter), max_tokens=limit)
        return PredictionRequest(
            ask, directive, body.get("stream") is True, prediction=self._kept.get(str(body.get("id")))
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> PredictionReply:
        assert isinstance(asked, PredictionRequest)
        return PredictionReply(script, asked.prediction or Prediction("", model, ""))

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return error_headers(refused.status), error_body(refused.status, refused.message)


def _asked(given: Mapping[str, Any]) -> str:
    if given.get("messages"):
        said = [message["content"] for message in given["messages"] if message["role"] == "user"]
        return str(said[-1]) if said else ""
    return str(given["prompt"]).rpartition(_USER)[2]


def _prompt_tokens(given: Mapping[str, Any], counter: CountsText) -> int:
    total = sum(counter.count(given[name]) for name in _WORKED_OUT if name in given)
    if "messages" in given:
        total += counter.count(orjson.dumps(given["messages"]).decode())
    images = [*given.get("image_input", ()), *given.get("images", ()), *([given["image"]] if "image" in given else ())]
    return total + _PER_IMAGE * len(images)

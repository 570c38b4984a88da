"""The caller's chat request as a prediction of an official model.

Owns the path and the input. Does not own what models take (models.py) or the transcript (conversation_text.py).
Invariant: only fields of the model's input are sent; the output limit is the caller's, or the request is refused.

Source: Replicate's HTTP API (`models.predictions.create`: `POST /models/{owner}/{name}/predictions`, `input`, `stream`,
`Prefer: wait=60`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from services.provider_adapter.protocols.chat_body import (
    ChatBody,
    cannot_carry,
    integer_in,
    number_in,
    read_chat_body,
    stops_in,
    write_body,
)
from services.provider_adapter.protocols.conversation import read_conversation
from services.provider_adapter.protocols.port import Attempt, Prepared
from services.provider_adapter.protocols.replicate.conversation_text import Told, told_by
from services.provider_adapter.protocols.replicate.models import Inputs, inputs_of, right_name

_WAIT: Mapping[str, str] = {"Prefer": "wait=60"}
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_LARGEST = (1 << 31) - 1
_MOST_STOPS = 16


class Asked(NamedTuple):
    """What reading the reply takes of the request."""

    limit: int | None = None
    think_tags: bool = False


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what a prediction has no form for.
    """
    chat = read_chat_body(attempt)
    model = right_name(attempt.provider_model_id)
    inputs = inputs_of(model)
    _refuse_what_has_no_form(chat.fields)
    told = told_by(read_conversation(chat.fields.get("messages")))
    limit = chat.max_tokens if chat.max_tokens is not None else inputs.usual_limit or None
    if limit is not None and limit < inputs.least_limit:
        raise cannot_carry(f"an output limit below {inputs.least_limit} tokens")
    given = _input(told, inputs)
    if limit is not None:
        given[inputs.limit] = limit
    _set_parameters(given, chat, inputs)
    body: dict[str, Any] = {"input": given}
    if attempt.stream:
        body["stream"] = True
    path = f"/models/{quote(model, safe='/-._~')}/predictions"
    asked = Asked(limit, inputs.think_tags)
    headers = {} if attempt.stream else _WAIT
    return Prepared(path, write_body(body), chat.hide_reasoning, headers=headers, asked=asked)


def _refuse_what_has_no_form(fields: Mapping[str, Any]) -> None:
    if fields.get("tools") and fields.get("tool_choice") != "none":
        raise cannot_carry("tools")
    given = fields.get("response_format")
    if isinstance(given, dict) and given.get("type") in {"json_object", "json_schema"}:
        raise cannot_carry("structured output")


def _input(told: Told, inputs: Inputs) -> dict[str, Any]:
    if told.images and not inputs.images:
        raise cannot_carry("images")
    if inputs.one_image and len(told.images) > 1:
        raise cannot_carry("more than one image")
    if inputs.messages and len(told.messages) > 1 and not told.images:
        # Beside messages the model reads nothing else.
        system = [{"role": "system", "content": told.system}] if told.system else []
        return {"messages": [*system, *told.messages]}
    prompt = told.prompt
    given: dict[str, Any] = {}
    if told.system and inputs.system and prompt:
        given[inputs.system] = told.system
    elif told.system:
        prompt = f"{told.system}\n\n{prompt}" if prompt else told.system
    given["prompt"] = prompt
    if told.images:
        given[inputs.images] = told.images[0] if inputs.one_image else told.images
    return given


def _set_parameters(given: dict[str, Any], chat: ChatBody, inputs: Inputs) -> None:
    values: dict[str, Any] = {
        name: number_in(chat.fields, name, *bounds) for name, bounds in _BOUNDS.items() if name in inputs.numbers
    }
    for name in inputs.numbers & {"top_k", "seed"}:
        values[name] = integer_in(chat.fields, name, 0, _LARGEST)
    if inputs.stops:
        # The field is one text: a comma within a sequence would make two of it.
        values[inputs.stops] = ",".join(one for one in stops_in(chat.fields, _MOST_STOPS) if "," not in one) or None
    if inputs.effort and chat.reasoning.wanted:
        values[inputs.effort] = inputs.efforts.get(chat.reasoning.effort_within(chat.max_tokens or 0))
    verbosity = chat.fields.get("verbosity")
    if inputs.verbosity and verbosity in {"low", "medium", "high"}:
        values["verbosity"] = verbosity
    given.update({name: value for name, value in values.items() if value is not None})

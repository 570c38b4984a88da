"""A text completion request of the legacy route: checked, and put as a chat for models that chat.

Owns the fields that chat has not or has otherwise (reference api-facts §3.2); chat's own checks do the rest. Invariant:
what cannot be kept of a request is refused by name, never left out in silence.
"""

from dataclasses import replace
from typing import Any, Final

from libs.tokens import TokenCounter
from services.edge_proxy.core import fields
from services.edge_proxy.core.body_fields import encoded, load_object
from services.edge_proxy.core.chat_request import read_chat_request
from services.edge_proxy.core.fields import Json, Object, invalid
from services.edge_proxy.core.request import COMPLETIONS, InferenceRequest

_MOST_LOGPROBS: Final = 5
_MOST_CHOICES: Final = 20
_NOT_CHAT: Final = frozenset(
    {"prompt", "echo", "best_of", "suffix", "logprobs", "messages", "tools", "tool_choice", "modalities", "audio"}
)
"""What chat has otherwise, and what no text completion can carry back."""


def parse_completions_request(body: bytes, counter: TokenCounter) -> InferenceRequest:
    """Checks a body.

    Raises:
        AppError: 400 that names the field, or says where the JSON breaks.
    """
    source = load_object(body)
    prompt = _read_prompt(source.get("prompt"))
    if fields.text(source, "suffix"):
        raise invalid("suffix", "is not supported: no model here fills in between")
    _check_best_of(source)
    logprobs = fields.whole(source, "logprobs", 0, _MOST_LOGPROBS)
    echo = fields.flag(source, "echo") or False
    if echo and logprobs is not None:
        raise invalid("echo", "cannot be combined with logprobs: those of a prompt are not known")
    chat = _as_chat(source, prompt, logprobs)
    request = read_chat_request(chat, encoded("body", chat), counter)
    native = {name: value for name, value in source.items() if name not in {"echo", "best_of", "suffix"}}
    return replace(
        request,
        operation=COMPLETIONS,
        body=encoded("body", native | {"prompt": prompt}),
        chat_body=request.body,
        echo=prompt if echo else "",
    )


def _as_chat(source: Object, prompt: str, logprobs: int | None) -> dict[str, Any]:
    chat = {name: value for name, value in source.items() if name not in _NOT_CHAT}
    chat["messages"] = [{"role": "user", "content": prompt}]
    if logprobs is not None:
        chat["logprobs"] = True
        if logprobs:
            chat["top_logprobs"] = logprobs
    return chat


def _read_prompt(value: Json) -> str:
    if value is None:
        raise invalid("prompt", "is required")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        raise invalid("prompt", "must be one text; send a request for each of several")
    raise invalid("prompt", "must be a text; tokens are not supported, for they are those of another model")


def _check_best_of(source: Object) -> None:
    """Answers that are made and thrown away would have to be paid for, and no provider says which is best."""
    best_of = fields.whole(source, "best_of", 1, _MOST_CHOICES)
    choices = fields.whole(source, "n", 1, 128) or 1
    if best_of is not None and best_of != choices:
        raise invalid("best_of", "must be the same as n: more answers than are returned are not supported")

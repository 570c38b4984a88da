"""watsonx.ai's chat as a NativeFormat: checks its own envelope, and what is in it as OpenAI checks it.

Owns the envelope: version, model, project, choices of tools. Does not own the rest (openai/chat_request.py) or bytes
(chat_reply.py). Invariant: unknown fields are refused; a request names a project or a space, and one of them.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.provider_simulator.core.script import Script
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.chat_request import read_request
from services.provider_simulator.protocols.openai.errors import RefusedError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import (
    InvalidError,
    Path,
    anything,
    dotted,
    fields,
    filled,
    items,
    mapping,
    one_of,
    tagged,
    text,
)
from services.provider_simulator.protocols.watsonx.chat_reply import ChatReply
from services.provider_simulator.protocols.watsonx.errors import refusal

_VERSION = re.compile(r"20\d\d-\d\d-\d\d")
_OWN = ("model_id", "project_id", "space_id", "tool_choice_option")
_CHATS = (
    "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty",
    "n", "seed", "stop", "logprobs", "top_logprobs", "logit_bias", "response_format", "reasoning_effort", "tool_choice",
)  # fmt: skip
_NOT_OPENAIS = ("time_limit", "include_reasoning", "chat_template_kwargs", "repetition_penalty", "length_penalty")


def _schema(where: Path, value: Any) -> None:
    mapping(where, value)
    if "additionalProperties" in value:
        fields({})((*where,), {"additionalProperties": value["additionalProperties"]})
    for key, inner in (value.get("properties") or {}).items():
        _schema((*where, "properties", key), inner)


_FUNCTION = fields({"name": filled, "description": text, "parameters": _schema}, ["name"])
_TOOL = fields({"type": one_of("function"), "function": _FUNCTION}, ["type", "function"])
_PARTS = tagged(
    {
        "text": fields({"type": text, "text": text}, ["text"]),
        "image_url": fields({"type": text, "image_url": mapping}, ["image_url"]),
        "input_audio": fields({"type": text, "input_audio": mapping}, ["input_audio"]),
        "refusal": fields({"type": text, "refusal": text}, ["refusal"]),
    }
)


def _content(where: Path, value: Any) -> None:
    if isinstance(value, list):
        items(_PARTS)(where, value)


_MESSAGE = fields(
    {
        "role": one_of("system", "user", "assistant", "tool"),
        "content": _content,
        "name": text,
        "refusal": text,
        "tool_calls": anything,
        "tool_call_id": text,
    },
    ["role"],
)
_REQUEST = fields(
    {
        **dict.fromkeys((*_CHATS, *_NOT_OPENAIS), anything),
        "model_id": filled,
        "project_id": filled,
        "space_id": filled,
        "messages": items(_MESSAGE, least=1),
        "tools": items(_TOOL, least=1),
        "tool_choice_option": one_of("auto", "none", "required"),
        "tool_choice": mapping,
    },
    ["model_id", "messages"],
)


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [
        web.post(f"{prefix}/ml/v1/text/{method}", server.generate)
        for prefix in ("", "/{provider}")
        for method in ("chat", "chat_stream")
    ]


class ChatFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise RefusedNativeError("Failed to authenticate the request due to invalid token", status=401)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        model = body.get("model_id")
        if not isinstance(model, str) or not model:
            raise RefusedNativeError("Missing required field 'model_id'.")
        return model

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> NativeRequest:
        if not _VERSION.fullmatch(request.query.get("version", "")):
            raise RefusedNativeError("The query parameter 'version' must be a date of the form YYYY-MM-DD.")
        try:
            _REQUEST((), body)
        except InvalidError as error:
            raise RefusedNativeError(f"Json document validation error: {dotted(error.where)}: {error.words}") from None
        if ("project_id" in body) == ("space_id" in body):
            raise RefusedNativeError("Either space_id or project_id must be given, and one of them alone.")
        chats = {name: value for name, value in body.items() if name not in {*_OWN, *_NOT_OPENAIS}}
        if "tool_choice_option" in body:
            chats["tool_choice"] = body["tool_choice_option"]
        try:
            chat = read_request({"model": body["model_id"], **chats}, counter, refuse_unknown=True)
        except RefusedError as refused:
            raise RefusedNativeError(refused.message) from None
        return NativeRequest(chat.ask, chat.directive, request.path.endswith("chat_stream"))

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> ChatReply:  # noqa: ARG002 (nothing is thought here)
        return ChatReply(script, model, created_s=int(time.time()))

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return refusal(refused)

"""The caller's chat request as watsonx.ai's.

Owns the path and what the envelope says otherwise than chat: the model, the account, choices of tools. Everything else is
openai_chat's, with a dialect of its own. Invariant: a request names one project or one space, as the operator set it; a
deployment's name cannot lead to another path.

Sources: LiteLLM's `watsonx/chat/transformation.py` (`tool_choice_option` for words, tools without `strict` and
`additionalProperties`), `watsonx/common_utils.py` (a model `deployment/…` has a path of its own and names nothing else).
"""

from typing import Any
from urllib.parse import quote

import orjson

from services.provider_adapter.protocols.chat_body import cannot_carry, write_body
from services.provider_adapter.protocols.openai_chat import request as chat
from services.provider_adapter.protocols.port import Attempt, Prepared

API_VERSION = "2025-04-23"

_ROOT = "/ml/v1"
_DIALECT = "watsonx"
_DEPLOYMENT = "deployment/"
_CHOICES = frozenset({"auto", "none", "required"})
_NOT_IN_TOOLS = frozenset({"additionalProperties", "strict"})
_DATA = frozenset({"enum", "const", "default", "examples"})
_MOST_DEEP = 64


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds a file, which has no form here.
    """
    prepared = chat.prepare(attempt, _DIALECT)
    body: dict[str, Any] = orjson.loads(prepared.body)
    if any(_holds_file(message) for message in body.get("messages") or ()):
        raise cannot_carry("files")
    model = body.pop("model")
    body.pop("stream", None)
    where = _ROOT
    if model.startswith(_DEPLOYMENT):
        where = f"{_ROOT}/deployments/{quote(model.removeprefix(_DEPLOYMENT), safe='')}"
    else:
        body = {"model_id": model, **attempt.account, **body}
    choice = body.get("tool_choice")
    if isinstance(choice, str):
        del body["tool_choice"]
        if choice in _CHOICES:
            body["tool_choice_option"] = choice
    if isinstance(body.get("tools"), list):
        body["tools"] = [_tool(tool) for tool in body["tools"]]
    path = f"{where}/text/{'chat_stream' if attempt.stream else 'chat'}?version={API_VERSION}"
    return prepared._replace(path=path, body=write_body(body))


def _holds_file(message: Any) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(isinstance(part, dict) and part.get("type") == "file" for part in content)


def _tool(tool: Any) -> Any:
    """A tool without what the provider does not take; names that stand among properties are the caller's."""
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return tool
    told = {name: value for name, value in function.items() if name != "strict"}
    if isinstance(told.get("parameters"), dict):
        told["parameters"] = _open(told["parameters"], 0)
    return {**tool, "function": told}


def _open(schema: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MOST_DEEP:
        return schema
    made: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _NOT_IN_TOOLS:
            continue
        if name in _DATA:
            made[name] = value
        elif name in {"properties", "$defs", "definitions"} and isinstance(value, dict):
            made[name] = {key: _open(inner, depth + 1) for key, inner in value.items()}
        elif isinstance(value, list):
            made[name] = [_open(inner, depth + 1) for inner in value]
        else:
            made[name] = _open(value, depth + 1)
    return made

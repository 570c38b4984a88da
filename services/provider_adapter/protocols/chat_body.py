"""The caller's chat request, read for formats that are not chat.

Owns what every translation asks first: the body without nulls and unsupported parameters, the output limit, and what
is wanted of reasoning. Does not know any provider. Invariant: what a translation does not take from here by name never
reaches a provider.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from libs.errors import AppError, Kind
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Attempt

_LIMIT_NAMES = ("max_completion_tokens", "max_tokens")
_REASONING_NAMES = ("reasoning", "reasoning_effort", "include_reasoning")
# Shares of the output limit that efforts stand for (reference behaviour-facts §13).
_SHARES: Mapping[str, float] = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
_EFFORT_BY_SHARE = ((0.15, "minimal"), (0.35, "low"), (0.65, "medium"), (0.875, "high"))


class Reasoning(NamedTuple):
    """What the caller said about reasoning.

    Attributes:
        wanted: None: nothing, or no more than that it may be shown.
        effort: minimal, low, medium, high, xhigh or max.
        budget_tokens: as the caller wrote it.
    """

    wanted: bool | None = None
    effort: str | None = None
    budget_tokens: int | None = None

    def budget(self, limit_tokens: int) -> int:
        """The tokens to think for, out of a limit."""
        if self.budget_tokens is not None:
            return self.budget_tokens
        return int(_SHARES[self.effort or "medium"] * limit_tokens)

    def effort_within(self, limit_tokens: int) -> str:
        """The effort, for models that take no budget."""
        if self.effort is not None or self.budget_tokens is None or limit_tokens <= 0:
            return self.effort or "medium"
        budget_tokens = self.budget_tokens
        return next((name for share, name in _EFFORT_BY_SHARE if budget_tokens < share * limit_tokens), "xhigh")


class ChatBody(NamedTuple):
    """A caller's request.

    Attributes:
        fields: as the caller wrote them, without nulls and unsupported parameters.
        max_tokens: the limit that holds; None: neither the caller nor the gateway set one.
        hide_reasoning: the caller does not want to see it.
        tools: all of them, where `fields` have those alone that may be called.
    """

    fields: Mapping[str, Any]
    max_tokens: int | None
    reasoning: Reasoning
    hide_reasoning: bool
    tools: Any = None


def read_chat_body(attempt: Attempt) -> ChatBody:
    """Reads the body of one attempt.

    Raises:
        AppError: it is not a JSON object.
    """
    try:
        body = orjson.loads(attempt.body)
    except orjson.JSONDecodeError as error:
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body is not a JSON object.")
    body = {name: value for name, value in body.items() if value is not None}
    hide_reasoning = _hides_reasoning(body)
    max_tokens = attempt.max_tokens if attempt.max_tokens is not None else _limit(body)
    # The limit is a promise to the caller: only its name can be unsupported.
    dropped = set(attempt.unsupported_parameters)
    if dropped & set(_REASONING_NAMES):
        dropped.update(_REASONING_NAMES)
    fields = {name: value for name, value in body.items() if name not in dropped}
    return ChatBody(_with_allowed_tools(fields), max_tokens, _reasoning(fields), hide_reasoning, fields.get("tools"))


def _with_allowed_tools(fields: dict[str, Any]) -> dict[str, Any]:
    """A choice among some of the tools, as a choice among all of fewer: few formats have a form for it."""
    match fields.get("tool_choice"):
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode), "tools": list(allowed)}}:
            names = {_tool_name(tool) for tool in allowed} - {None}
            tools = fields.get("tools")
            kept = [tool for tool in tools if _tool_name(tool) in names] if isinstance(tools, list) else []
            return {**fields, "tools": kept, "tool_choice": mode if kept else "none"}
        case _:
            return fields


def _tool_name(tool: Any) -> str | None:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def write_body(body: Any) -> bytes:
    """The provider's request as JSON.

    Raises:
        AppError: what the caller sent nests too deeply to be written.
    """
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body nests too deeply.") from error


def cannot_carry(what: str) -> ProviderFailedError:
    """The request holds what this format has no form for; another provider's may have one."""
    message = f"This provider's format cannot carry {what}."
    return ProviderFailedError(Failure(FailureClass.INVALID_REQUEST, message=message, elsewhere=True))


def number_in(fields: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    """A number, clamped; None if there is none."""
    value = fields.get(name)
    if type(value) not in {int, float}:
        return None
    assert isinstance(value, int | float)
    return least if value < least else min(value, most)


def integer_in(fields: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    """An integer, clamped; None if there is none."""
    value = fields.get(name)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        return None
    return min(max(value, least), most)


def stops_in(fields: Mapping[str, Any], most: int) -> list[str]:
    """Stop sequences that providers take: at most so many, none of them blank."""
    stop = fields.get("stop")
    listed = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return [text for text in listed if isinstance(text, str) and text.strip()][:most]


def _hides_reasoning(body: Mapping[str, Any]) -> bool:
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict) and isinstance(reasoning.get("exclude"), bool):
        return bool(reasoning["exclude"])
    return body.get("include_reasoning") is False


def _limit(body: Mapping[str, Any]) -> int | None:
    return next((body[name] for name in _LIMIT_NAMES if type(body.get(name)) is int and body[name] > 0), None)


def _reasoning(fields: Mapping[str, Any]) -> Reasoning:
    given = fields.get("reasoning")
    told = given if isinstance(given, dict) else {}
    effort = told.get("effort") or fields.get("reasoning_effort")
    if told.get("enabled") is False or effort == "none":
        return Reasoning(wanted=False)
    budget_tokens = told.get("max_tokens")
    if type(budget_tokens) is int and budget_tokens > 0:
        return Reasoning(True, None, budget_tokens)
    if isinstance(effort, str) and effort in _SHARES:
        return Reasoning(True, effort)
    return Reasoning(True, "medium") if told.get("enabled") is True else Reasoning()

"""Checks of the request's fields, apart from its messages.

Owns types, bounds and the wording of refusals. Does not read messages (messages.py). Invariant: null is as if absent; a
field that is not known is ignored unless strictness is asked for.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from services.provider_simulator.protocols.openai.errors import RefusedError

Check = Callable[[str, Any], None]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAX_TOOLS = 1024
_TYPE_NAMES: Mapping[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def wrong_type(param: str, expected: str, value: object) -> RefusedError:
    got = _TYPE_NAMES[type(value)]
    return RefusedError(
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.", param=param, code="invalid_type"
    )


def missing(param: str) -> RefusedError:
    return RefusedError(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid_value(param: str, problem: str) -> RefusedError:
    return RefusedError(f"Invalid value for '{param}': {problem}", param=param, code="invalid_value")


def boolean(param: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise wrong_type(param, "a boolean", value)


def text(param: str, value: Any) -> None:
    if not isinstance(value, str):
        raise wrong_type(param, "a string", value)


def mapping(param: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise wrong_type(param, "an object", value)


def integer(least: int, most: int) -> Check:
    def check(param: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type(param, "an integer", value)
        _within(param, value, least, most, "integer")

    return check


def number(least: float, most: float) -> Check:
    def check(param: str, value: Any) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong_type(param, "a decimal", value)
        _within(param, value, least, most, "decimal")

    return check


def _within(param: str, value: float, least: float, most: float, kind: str) -> None:
    if least <= value <= most:
        return
    side, sign, bound = ("minimum", ">=", least) if value < least else ("maximum", "<=", most)
    where = "below" if value < least else "above"
    raise RefusedError(
        f"Invalid '{param}': {kind} {where} {side} value. Expected a value {sign} {bound}, but got {value} instead.",
        param=param,
        code=f"{kind}_{where}_{side[:3]}_value",
    )


def one_choice(param: str, value: Any) -> None:
    integer(1, 128)(param, value)
    if value != 1:
        raise invalid_value(param, "this model gives one choice only.")


def stop(param: str, value: Any) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong_type(param, "a string or an array of strings", value)
    if len(value) > 4:
        raise RefusedError(
            f"Invalid '{param}': array too long. Expected an array with maximum length 4, "
            f"but got an array with length {len(value)} instead.",
            param=param,
            code="array_above_max_length",
        )


def _tools(param: str, value: Any) -> None:
    if not isinstance(value, list):
        raise wrong_type(param, "an array of objects", value)
    if not 1 <= len(value) <= _MAX_TOOLS:
        raise invalid_value(param, f"expected from 1 to {_MAX_TOOLS} tools.")
    for place, tool in enumerate(value):
        where = f"{param}[{place}]"
        mapping(where, tool)
        if tool.get("type") != "function":
            raise invalid_value(f"{where}.type", "supported values are: 'function'.")
        function = tool.get("function")
        if function is None:
            raise missing(f"{where}.function")
        mapping(f"{where}.function", function)
        _name(f"{where}.function.name", function.get("name"))
        if function.get("parameters") is not None:
            mapping(f"{where}.function.parameters", function["parameters"])


def _name(param: str, value: Any) -> None:
    if value is None:
        raise missing(param)
    text(param, value)
    if _NAME.fullmatch(value) is None:
        raise RefusedError(
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$' and has 64 characters at most.",
            param=param,
            code="invalid_value",
        )


def _tool_choice(param: str, value: Any) -> None:
    if isinstance(value, str):
        if value not in {"none", "auto", "required"}:
            raise invalid_value(param, "supported values are: 'none', 'auto', and 'required'.")
        return
    if not isinstance(value, dict):
        raise wrong_type(param, "one of 'none', 'auto', 'required', or an object", value)
    if value.get("type") != "function":
        raise invalid_value(f"{param}.type", "supported values are: 'function'.")
    function = value.get("function")
    if not isinstance(function, dict):
        raise missing(f"{param}.function")
    _name(f"{param}.function.name", function.get("name"))


def _response_format(param: str, value: Any) -> None:
    mapping(param, value)
    kind = value.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise invalid_value(f"{param}.type", "supported values are: 'text', 'json_object', and 'json_schema'.")
    if kind == "json_schema":
        described = value.get("json_schema")
        if described is None:
            raise missing(f"{param}.json_schema")
        mapping(f"{param}.json_schema", described)
        _name(f"{param}.json_schema.name", described.get("name"))
        if described.get("schema") is not None:
            mapping(f"{param}.json_schema.schema", described["schema"])


def stream_options(param: str, value: Any) -> None:
    mapping(param, value)
    if value.get("include_usage") is not None:
        boolean(f"{param}.include_usage", value["include_usage"])


def anything(_param: str, _value: Any) -> None:
    """A field of OpenAI's whose value the simulator does not look at."""


_CHECKS: Mapping[str, Check] = {
    "model": anything,
    "messages": anything,
    "stream": boolean,
    "stream_options": stream_options,
    "max_tokens": integer(1, 2**31 - 1),
    "max_completion_tokens": integer(1, 2**31 - 1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "n": one_choice,
    "seed": integer(-(2**63), 2**63 - 1),
    "stop": stop,
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
    "logit_bias": mapping,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": boolean,
    "response_format": _response_format,
    "reasoning_effort": text,
    "verbosity": text,
    "user": text,
    "safety_identifier": text,
    "prompt_cache_key": text,
    "prompt_cache_options": anything,
    "prompt_cache_retention": text,
    "moderation": anything,
    "service_tier": text,
    "store": boolean,
    "metadata": mapping,
    "modalities": anything,
    "audio": mapping,
    "prediction": mapping,
    "web_search_options": mapping,
    "functions": anything,
    "function_call": anything,
}


def check_parameters(body: Mapping[str, Any], *, refuse_unknown: bool) -> None:
    """Checks every field by itself, then what fields ask of one another.

    Raises:
        RefusedError: as the real API would.
    """
    check_fields(body, _CHECKS, refuse_unknown=refuse_unknown)
    _check_together(body)


def check_fields(body: Mapping[str, Any], checks: Mapping[str, Check], *, refuse_unknown: bool) -> None:
    """Checks every field by itself.

    Raises:
        RefusedError: as the real API would.
    """
    for name, value in body.items():
        check = checks.get(name)
        if check is not None:
            if value is not None:
                check(name, value)
        elif refuse_unknown:
            raise RefusedError(f"Unrecognized request argument supplied: {name}", param=None, code=None)


def _check_together(body: Mapping[str, Any]) -> None:
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise RefusedError(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if body.get("stream_options") is not None and not body.get("stream"):
        raise RefusedError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if body.get("tools") is None:
        for param in ("tool_choice", "parallel_tool_calls"):
            if body.get(param) is not None:
                raise RefusedError(f"'{param}' is only allowed when 'tools' are specified.", param=param)
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise RefusedError("'top_logprobs' is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    _check_named_tool(body)


def _check_named_tool(body: Mapping[str, Any]) -> None:
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        if all(tool["function"]["name"] != name for tool in body["tools"]):
            raise RefusedError(
                f"Invalid value for 'tool_choice': no tool is named '{name}'.",
                param="tool_choice",
                code="invalid_value",
            )

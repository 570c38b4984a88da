"""The objects inside a chat request: their documented fields, types and ranges (reference api-facts §3.1, §8).

Owns checks that decide nothing else; what routing and holds read is read elsewhere. Invariant: an error names the field,
and what is not documented is ignored.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from services.edge_proxy.core import fields
from services.edge_proxy.core.fields import Json, Object, invalid

_CACHE_KINDS = frozenset({"ephemeral"})
_CACHE_TTLS = frozenset({"5m", "1h"})
_CACHE_MODES = frozenset({"explicit"})
_PREDICTIONS = frozenset({"content"})
_SUMMARIES = frozenset({"auto", "concise", "detailed"})
_CONTEXTS = frozenset({"auto", "all_turns", "current_turn"})
_MODES = frozenset({"standard", "pro"})
_FORMATS = frozenset({"text", "json_object", "json_schema", "grammar", "python"})
_CHOICES = frozenset({"none", "auto", "required"})
_CALL_KINDS = frozenset({"function"})
_IMAGE_DETAILS = frozenset({"auto", "low", "high", "original"})
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TRACE_TEXTS: Final = ("trace_id", "trace_name", "span_name", "generation_name", "parent_span_id")
_ASSISTANT_TEXTS: Final = ("refusal", "reasoning", "reasoning_content", "model")
_ASSISTANT_LISTS: Final = ("reasoning_details", "annotations", "images")
_FILE_TEXTS: Final = ("file_data", "file_id", "filename")
MAX_TOOL_NAME: Final = 64
MAX_TOOL_CALLS: Final = 1_000
_MANY: Final = 100_000


def check_details(source: Object) -> None:
    """Checks what stands inside the objects of a request.

    Raises:
        AppError: 400 that names the field.
    """
    for name, check in _CHECKS.items():
        if source.get(name) is not None:
            check(source)


def check_assistant(message: Object, where: str) -> None:
    """Checks what an assistant message may hold beside content and calls."""
    path = f"{where}."
    for name in _ASSISTANT_TEXTS:
        if name in message:
            fields.text(message, name, path=path)
    for name in _ASSISTANT_LISTS:
        if name in message:
            for index, item in enumerate(fields.items(message, name, max_items=_MANY, path=path) or ()):
                if not isinstance(item, dict):
                    raise invalid(f"{path}{name}.{index}", "must be an object")
    if "audio" in message:
        fields.mapping(message, "audio", path=path)


def check_call(call: Object, where: str) -> None:
    """Checks the frame of one tool call."""
    if not isinstance(call.get("id"), str):
        raise invalid(f"{where}.id", "must be a string")
    fields.member(call, "type", _CALL_KINDS, path=f"{where}.")


def check_cache_control(owner: Object, path: str = "") -> None:
    """Checks an object's `cache_control`."""
    control = fields.mapping(owner, "cache_control", path=path)
    if control is not None:
        path += "cache_control."
        _required_member(control, "type", _CACHE_KINDS, path)
        fields.member(control, "ttl", _CACHE_TTLS, path=path)


def check_media(kind: str, payload: Object, where: str) -> None:
    """Checks the object of a part that is not text."""
    path = f"{where}.{kind}."
    if kind == "image_url":
        _required_text(payload, "url", path)
        fields.member(payload, "detail", _IMAGE_DETAILS, path=path)
    elif kind == "video_url":
        _required_text(payload, "url", path)
    elif kind == "input_audio":
        _required_text(payload, "data", path)
        _required_text(payload, "format", path)
    elif kind == "file":
        for name in _FILE_TEXTS:
            fields.text(payload, name, path=path)


def _check_debug(source: Object) -> None:
    fields.flag(source["debug"], "echo_upstream_body", path="debug.")


def _check_stream_options(source: Object) -> None:
    fields.flag(source["stream_options"], "include_usage", path="stream_options.")


def _check_usage(source: Object) -> None:
    fields.flag(source["usage"], "include", path="usage.")


def _check_prediction(source: Object) -> None:
    prediction = source["prediction"]
    _required_member(prediction, "type", _PREDICTIONS, "prediction.")
    if not isinstance(prediction.get("content"), str | list):
        raise invalid("prediction.content", "must be a string or an array of text parts")


def _check_cache_options(source: Object) -> None:
    options = source["prompt_cache_options"]
    _required_member(options, "mode", _CACHE_MODES, "prompt_cache_options.")
    fields.text(options, "ttl", path="prompt_cache_options.")


def _check_reasoning(source: Object) -> None:
    reasoning, path = source["reasoning"], "reasoning."
    fields.member(reasoning, "summary", _SUMMARIES, path=path)
    fields.member(reasoning, "context", _CONTEXTS, path=path)
    fields.member(reasoning, "mode", _MODES, path=path)
    fields.flag(reasoning, "enabled", path=path)
    fields.flag(reasoning, "exclude", path=path)


def _check_response_format(source: Object) -> None:
    response_format, path = fields.mapping(source, "response_format") or {}, "response_format."
    kind = _required_member(response_format, "type", _FORMATS, path)
    if kind == "grammar":
        _required_text(response_format, "grammar", path)
    if kind == "json_schema":
        _check_json_schema(response_format.get("json_schema"), f"{path}json_schema")


def _check_json_schema(schema: Json, where: str) -> None:
    if not isinstance(schema, dict):
        raise invalid(where, "must be an object")
    path = f"{where}."
    if not _SCHEMA_NAME.fullmatch(_required_text(schema, "name", path)):
        raise invalid(f"{path}name", "must be 1 to 64 of a-z, A-Z, 0-9, underscore and hyphen")
    fields.text(schema, "description", path=path)
    fields.mapping(schema, "schema", path=path)
    fields.flag(schema, "strict", path=path)


def _check_tools(source: Object) -> None:
    for index, tool in enumerate(fields.items(source, "tools", max_items=4096) or ()):
        where = f"tools.{index}"
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            raise invalid(where, "must be an object with a type")
        if tool["type"] == "function":
            _check_function(tool.get("function"), f"{where}.function")
        if "cache_control" in tool:
            check_cache_control(tool, f"{where}.")


def _check_function(function: Json, where: str) -> None:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise invalid(where, "must be an object with a name")
    path = f"{where}."
    if not 1 <= len(function["name"]) <= MAX_TOOL_NAME:
        raise invalid(f"{path}name", f"must have 1 to {MAX_TOOL_NAME} characters")
    fields.text(function, "description", path=path)
    fields.mapping(function, "parameters", path=path)
    fields.flag(function, "strict", path=path)


def _check_tool_choice(source: Object) -> None:
    choice = source["tool_choice"]
    if isinstance(choice, str):
        fields.member(source, "tool_choice", _CHOICES)
        return
    if not isinstance(choice, dict):
        raise invalid("tool_choice", "must be a string or an object")
    if _required_text(choice, "type", "tool_choice.") == "function":
        function = choice.get("function")
        if not isinstance(function, dict):
            raise invalid("tool_choice.function", "must be an object with a name")
        _required_text(function, "name", "tool_choice.function.")


def _check_plugins(source: Object) -> None:
    for index, plugin in enumerate(fields.items(source, "plugins", max_items=64) or ()):
        if not isinstance(plugin, dict) or not isinstance(plugin.get("id"), str):
            raise invalid(f"plugins.{index}", "must be an object with an id")
        fields.flag(plugin, "enabled", path=f"plugins.{index}.")


def _check_trace(source: Object) -> None:
    trace = fields.mapping(source, "trace") or {}
    for name in _TRACE_TEXTS:
        fields.text(trace, name, path="trace.")


def _check_stops_of_server_tools(source: Object) -> None:
    for index, stop in enumerate(fields.items(source, "stop_server_tools_when", max_items=64) or ()):
        if not isinstance(stop, dict) or not isinstance(stop.get("type"), str):
            raise invalid(f"stop_server_tools_when.{index}", "must be an object with a type")


def _check_cache_control(source: Object) -> None:
    check_cache_control(source)


def _check_max_tool_calls(source: Object) -> None:
    fields.whole(source, "max_tool_calls", 0, MAX_TOOL_CALLS)


def _check_preset(source: Object) -> None:
    fields.text(source, "preset", max_length=256)


def _check_transforms(source: Object) -> None:
    fields.texts(source, "transforms", max_items=64)


def _required_text(owner: Object, name: str, path: str) -> str:
    value = fields.text(owner, name, path=path)
    if value is None:
        raise invalid(path + name, "must be a string")
    return value


def _required_member(owner: Object, name: str, allowed: frozenset[str], path: str) -> str:
    value = fields.member(owner, name, allowed, path=path)
    if value is None:
        raise invalid(path + name, f"must be one of {', '.join(sorted(allowed))}")
    return value


_CHECKS: Final[Mapping[str, Callable[[Object], None]]] = {
    "tools": _check_tools,
    "tool_choice": _check_tool_choice,
    "response_format": _check_response_format,
    "reasoning": _check_reasoning,
    "stream_options": _check_stream_options,
    "plugins": _check_plugins,
    "cache_control": _check_cache_control,
    "trace": _check_trace,
    "usage": _check_usage,
    "prediction": _check_prediction,
    "prompt_cache_options": _check_cache_options,
    "debug": _check_debug,
    "stop_server_tools_when": _check_stops_of_server_tools,
    "max_tool_calls": _check_max_tool_calls,
    "preset": _check_preset,
    "transforms": _check_transforms,
}

"""What stands inside the objects of a chat request: every documented field has its type and range."""

from typing import Any

import pytest

from libs.errors import AppError, Kind
from libs.tokens import TokenCounter
from services.edge_proxy.core.chat_request import parse_chat_request
from tests.testkit.edge_proxy import chat_body

COUNTER = TokenCounter()
SCHEMA = {"name": "x", "schema": {"type": "object"}}


def schema(**changes: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {**SCHEMA, **changes}}


def function(**changes: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", **changes}}]


def user(part: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part]}]


def assistant(**fields: Any) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": "x", **fields}]


def call(**changes: Any) -> list[dict[str, Any]]:
    whole = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}, **changes}
    return assistant(tool_calls=[{name: value for name, value in whole.items() if value is not None}])


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("cache_control", {"type": "x"}, "cache_control.type"),
        ("cache_control", {}, "cache_control.type"),
        ("cache_control", {"type": "ephemeral", "ttl": "2h"}, "cache_control.ttl"),
        ("debug", {"echo_upstream_body": "yes"}, "debug.echo_upstream_body"),
        ("stream_options", {"include_usage": "x"}, "stream_options.include_usage"),
        ("usage", {"include": 1}, "usage.include"),
        ("prediction", {"type": "zzz", "content": "x"}, "prediction.type"),
        ("prediction", {"type": "content"}, "prediction.content"),
        ("prediction", {"type": "content", "content": 5}, "prediction.content"),
        ("prompt_cache_options", {"mode": "zz"}, "prompt_cache_options.mode"),
        ("prompt_cache_options", {"mode": "explicit", "ttl": 5}, "prompt_cache_options.ttl"),
        ("reasoning", {"summary": "zz"}, "reasoning.summary"),
        ("reasoning", {"context": "zz"}, "reasoning.context"),
        ("reasoning", {"mode": 5}, "reasoning.mode"),
        ("reasoning", {"enabled": "x"}, "reasoning.enabled"),
        ("reasoning", {"exclude": 1}, "reasoning.exclude"),
        ("response_format", {}, "response_format.type"),
        ("response_format", {"type": 5}, "response_format.type"),
        ("response_format", {"type": "zzz"}, "response_format.type"),
        ("response_format", {"type": "grammar"}, "response_format.grammar"),
        ("response_format", {"type": "grammar", "grammar": 5}, "response_format.grammar"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name"),
        ("response_format", schema(name=5), "response_format.json_schema.name"),
        ("response_format", schema(name="a b"), "response_format.json_schema.name"),
        ("response_format", schema(name="a" * 65), "response_format.json_schema.name"),
        ("response_format", schema(schema=5), "response_format.json_schema.schema"),
        ("response_format", schema(strict="x"), "response_format.json_schema.strict"),
        ("response_format", schema(description=5), "response_format.json_schema.description"),
        ("tools", [5], "tools.0"),
        ("tools", [{"type": "function"}], "tools.0.function"),
        ("tools", function(name=""), "tools.0.function.name"),
        ("tools", function(name="f" * 65), "tools.0.function.name"),
        ("tools", function(description=5), "tools.0.function.description"),
        ("tools", function(parameters="x"), "tools.0.function.parameters"),
        ("tools", function(strict="x"), "tools.0.function.strict"),
        ("tools", [{**function()[0], "cache_control": 5}], "tools.0.cache_control"),
        ("tool_choice", "zzz", "tool_choice"),
        ("tool_choice", [], "tool_choice"),
        ("tool_choice", {}, "tool_choice.type"),
        ("tool_choice", {"type": "function"}, "tool_choice.function"),
        ("tool_choice", {"type": "function", "function": {"name": 5}}, "tool_choice.function.name"),
        ("plugins", [{"id": "web", "enabled": "x"}], "plugins.0.enabled"),
        ("trace", {"trace_id": 5}, "trace.trace_id"),
        ("trace", {"generation_name": []}, "trace.generation_name"),
        ("stop_server_tools_when", "x", "stop_server_tools_when"),
        ("stop_server_tools_when", [5], "stop_server_tools_when.0"),
        ("max_tool_calls", -1, "max_tool_calls"),
        ("max_tool_calls", "x", "max_tool_calls"),
        ("preset", 5, "preset"),
        ("transforms", [5], "transforms.0"),
        ("messages", user({"type": "text", "text": "x", "cache_control": 5}), "messages.0.content.0.cache_control"),
        (
            "messages",
            user({"type": "image_url", "image_url": {"url": "http://x", "detail": "zz"}}),
            "messages.0.content.0.image_url.detail",
        ),
        ("messages", user({"type": "input_audio", "input_audio": {}}), "messages.0.content.0.input_audio.data"),
        (
            "messages",
            user({"type": "input_audio", "input_audio": {"data": "x"}}),
            "messages.0.content.0.input_audio.format",
        ),
        ("messages", user({"type": "video_url", "video_url": {"url": 4}}), "messages.0.content.0.video_url.url"),
        ("messages", user({"type": "file", "file": {"file_data": 5}}), "messages.0.content.0.file.file_data"),
        ("messages", assistant(refusal=5), "messages.0.refusal"),
        ("messages", assistant(reasoning=5), "messages.0.reasoning"),
        ("messages", assistant(reasoning_content=5), "messages.0.reasoning_content"),
        ("messages", assistant(reasoning_details=5), "messages.0.reasoning_details"),
        ("messages", assistant(reasoning_details=[5]), "messages.0.reasoning_details.0"),
        ("messages", assistant(annotations=5), "messages.0.annotations"),
        ("messages", assistant(images=5), "messages.0.images"),
        ("messages", assistant(audio=5), "messages.0.audio"),
        ("messages", call(id=5), "messages.0.tool_calls.0.id"),
        ("messages", call(id=None), "messages.0.tool_calls.0.id"),
        ("messages", call(type="zz"), "messages.0.tool_calls.0.type"),
    ],
)
def test_wrong_type_or_value_inside_an_object_is_400_naming_it(field: str, value: Any, place: str) -> None:
    with pytest.raises(AppError) as caught:
        parse_chat_request(chat_body(**{field: value}), COUNTER)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.metadata["field"] == place
    assert caught.value.message.startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cache_control", {"type": "ephemeral", "ttl": "1h", "more": 1}),
        ("debug", {}),
        ("stream_options", {"include_usage": None, "unknown": 5}),
        ("prediction", {"type": "content", "content": [{"type": "text", "text": "x"}]}),
        ("prompt_cache_options", {"mode": "explicit"}),
        ("reasoning", {"summary": None, "enabled": True, "exclude": False, "context": "auto", "mode": "pro"}),
        ("response_format", {"type": "text"}),
        ("response_format", {"type": "python"}),
        ("response_format", {"type": "grammar", "grammar": "x"}),
        ("response_format", schema(strict=None, description=None)),
        ("tools", function(description=None, parameters=None, strict=None)),
        ("tools", [{"type": "openrouter:web_search"}, {"type": "web_search_preview"}, {"type": "custom", "x": 1}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("tool_choice", {"type": "openrouter:web_search"}),
        ("plugins", [{"id": "web", "max_results": 3}]),
        ("trace", {"trace_id": "x", "anything": {"else": 1}}),
        ("stop_server_tools_when", [{"type": "step_count_is", "count": 3}]),
        ("max_tool_calls", 30),
        ("messages", user({"type": "image_url", "image_url": {"url": "http://x", "detail": "original"}})),
        ("messages", user({"type": "file", "file": {"file_id": "f", "filename": None}})),
        ("messages", assistant(refusal=None, reasoning="r", reasoning_details=[{"type": "reasoning.text"}])),
        ("messages", call(type=None)),
    ],
)
def test_what_is_documented_and_what_is_unknown_is_taken(field: str, value: Any) -> None:
    parse_chat_request(chat_body(**{field: value}), COUNTER)

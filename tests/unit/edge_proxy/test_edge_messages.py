"""Messages: shapes that pass, shapes that do not, and what one pass gathers."""

from typing import Any

import pytest

from libs.errors import AppError
from services.edge_proxy.core.messages import MAX_MESSAGES, read_messages


def refused_field(*messages: Any) -> str:
    with pytest.raises(AppError) as caught:
        read_messages({"messages": list(messages)})
    assert caught.value.http_status == 400
    return caught.value.metadata["field"]


def part(**content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [content]}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (5, "messages.0"),
        ({}, "messages.0.role"),
        ({"role": "pope", "content": "x"}, "messages.0.role"),
        ({"role": ["user"], "content": "x"}, "messages.0.role"),
        ({"role": {}, "content": "x"}, "messages.0.role"),
        ({"role": None, "content": "x"}, "messages.0.role"),
        ({"role": "user"}, "messages.0.content"),
        ({"role": "user", "content": None}, "messages.0.content"),
        ({"role": "system", "content": 5}, "messages.0.content"),
        ({"role": "user", "content": "x", "name": 5}, "messages.0.name"),
        ({"role": "tool", "content": "x"}, "messages.0.tool_call_id"),
        ({"role": "assistant", "tool_calls": {}}, "messages.0.tool_calls"),
        ({"role": "assistant", "tool_calls": [1]}, "messages.0.tool_calls.0.function"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}, "messages.0.tool_calls.0.function"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            "messages.0.tool_calls.0.function.arguments",
        ),
        ({"role": "user", "content": ["x"]}, "messages.0.content.0"),
        (part(text="x"), "messages.0.content.0.type"),
        (part(type=["text"], text="x"), "messages.0.content.0.type"),
        (part(type="smell"), "messages.0.content.0.type"),
        (part(type="text"), "messages.0.content.0.text"),
        (part(type="image_url"), "messages.0.content.0.image_url"),
        (part(type="image_url", image_url={}), "messages.0.content.0.image_url.url"),
        (part(type="file", file="x"), "messages.0.content.0.file"),
    ],
)
def test_message_of_the_wrong_shape_is_400_naming_the_place(message: Any, field: str) -> None:
    assert refused_field(message) == field


def test_place_counts_messages_from_zero() -> None:
    assert refused_field({"role": "user", "content": "x"}, {"role": "user"}) == "messages.1.content"


def test_more_messages_than_the_bound_are_400() -> None:
    assert refused_field(*[{"role": "user", "content": "x"}] * (MAX_MESSAGES + 1)) == "messages"


def test_texts_of_all_kinds_are_gathered() -> None:
    facts = read_messages(
        {
            "messages": [
                {"role": "system", "content": "s", "name": "n"},
                {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "text", "text": "u"}]},
                {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "1", "content": "r"},
                {"role": "function", "name": "g", "content": None},
            ]
        }
    )
    assert facts.texts == ["s", "n", "t", "u", "f", "{}", "r", "g"]
    assert (facts.messages, facts.media_parts, facts.modalities) == (5, 0, set())


@pytest.mark.parametrize(
    ("kind", "payload", "modality"),
    [
        ("image_url", {"url": "https://x/y.png"}, "image"),
        ("input_audio", {"data": "x", "format": "wav"}, "audio"),
        ("video_url", {"url": "x"}, "video"),
        ("file", {"file_data": "x"}, "file"),
    ],
)
def test_media_parts_are_counted_by_modality(kind: str, payload: dict[str, str], modality: str) -> None:
    facts = read_messages({"messages": [part(type=kind, **{kind: payload})]})
    assert (facts.modalities, facts.media_parts) == ({modality}, 1)

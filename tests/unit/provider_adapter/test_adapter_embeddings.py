"""Embeddings in OpenAI's format and in those of its relatives."""

import struct
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_embeddings.protocol import OpenAiEmbeddings
from services.provider_adapter.protocols.port import Attempt, Usage
from services.provider_adapter.protocols.vectors import encoded, read_embeddings
from tests.unit.provider_adapter.operation_bodies import attempt, received, sent

WIRE = OpenAiEmbeddings()
floats = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)


def asked(value: Any = "hello", **fields: Any) -> Attempt:
    changes = {name: fields.pop(name) for name in ("user_hash", "unsupported_parameters", "stream") if name in fields}
    return attempt("embeddings", {"input": value, **fields}, **changes)


def reply(*vectors: Any, **fields: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(vectors)]
    return {
        "object": "list",
        "data": data,
        "model": "native",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        **fields,
    }


def test_openai_is_asked_for_the_encoding_that_the_caller_wants() -> None:
    body = {"dimensions": 8, "user": "me", "provider": {"only": ["openai"]}, "encoding_format": "base64"}
    assert sent(WIRE, asked(**body, user_hash="h"), "openai") == {
        "model": "native-model", "input": "hello", "dimensions": 8, "user": "h", "encoding_format": "base64",
    }  # fmt: skip
    assert sent(WIRE, asked(), "openai")["encoding_format"] == "float"


def test_other_hosts_are_asked_for_nothing_that_old_copies_do_not_know() -> None:
    assert sent(WIRE, asked(encoding_format="base64")) == {"model": "native-model", "input": "hello"}


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("openai", {"dimensions": 8, "user": "h", "encoding_format": "float"}),
        ("voyage", {"output_dimension": 8, "input_type": "query"}),
        ("jina", {"dimensions": 8, "task": "retrieval.query"}),
        ("mistral", {"output_dimension": 8}),
        ("nvidia", {"dimensions": 8, "user": "h", "input_type": "query"}),
        ("perplexity", {"dimensions": 8}),
        ("", {"dimensions": 8, "user": "h", "input_type": "search_query"}),
    ],
)
def test_each_host_gets_its_own_names(dialect: str, expected: dict[str, Any]) -> None:
    body = sent(WIRE, asked(dimensions=8, input_type="search_query", user_hash="h"), dialect)
    assert body == {"model": "native-model", "input": "hello", **expected}


def test_purpose_that_a_host_has_no_word_for_is_left_out() -> None:
    assert "input_type" not in sent(WIRE, asked(input_type="clustering"), "voyage")


@pytest.mark.parametrize("value", [[1, 2, 3], [[1, 2], [3]], ["a", "b"], "a"])
def test_texts_and_tokens_go_as_they_came(value: Any) -> None:
    assert sent(WIRE, asked(value))["input"] == value


def test_parts_that_are_all_text_go_as_a_text_and_others_as_they_came() -> None:
    text = {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    image = {"content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}
    assert sent(WIRE, asked([text, image]))["input"] == ["a\nb", image]


def test_unsupported_parameters_and_nulls_are_left_out() -> None:
    assert sent(WIRE, asked(dimensions=8, input_type=None, unsupported_parameters=("dimensions",))) == {
        "model": "native-model", "input": "hello",
    }  # fmt: skip


def test_reply_is_ours_without_usage() -> None:
    value, facts = received(WIRE, asked(["a", "b"]), reply([0.5, -1], [2, 0.25], id="up-1"))
    assert value == {
        "id": "gen-1-a",
        "object": "list",
        "data": [
            {"object": "embedding", "embedding": [0.5, -1], "index": 0},
            {"object": "embedding", "embedding": [2, 0.25], "index": 1},
        ],
        "model": "maker/model",
        "provider": "P",
    }
    assert facts.usage == Usage(3, 0)
    assert (facts.finish_reason, facts.upstream_id, facts.has_content) == ("", "up-1", True)


def test_vectors_come_in_the_order_of_the_inputs() -> None:
    mixed = reply([1.0], [2.0])
    mixed["data"].reverse()
    value, _ = received(WIRE, asked(["a", "b"]), mixed)
    assert [one["embedding"] for one in value["data"]] == [[1.0], [2.0]]


@given(floats)
def test_encoding_that_the_host_did_not_give_is_made_here(numbers: list[float]) -> None:
    packed = b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    assert encoded(numbers, "base64") == encoded(packed, "base64") == packed
    assert encoded(packed, "float") == numbers
    value, _ = received(WIRE, asked(encoding_format="base64"), reply(numbers), "voyage")
    assert struct.unpack(f"<{len(numbers)}f", b64decode(value["data"][0]["embedding"])) == tuple(numbers)


def test_signed_bytes_of_perplexity_are_numbers() -> None:
    value, _ = received(WIRE, asked(), reply(b64encode(bytes([0, 127, 128, 255])).decode()), "perplexity")
    assert value["data"][0]["embedding"] == [0, 127, -128, -1]
    assert WIRE.prepare(asked(), "perplexity").path == "/v1/embeddings"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"total_tokens": 7}, Usage(7, 0)),
        ({"prompt_tokens": 5, "total_tokens": 5, "completion_tokens": 0}, Usage(5, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}, Usage(5, 0, 2)),
        ({"prompt_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": -1}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)
def test_usage_is_whatever_the_host_calls_it(usage: Any, expected: Usage | None) -> None:
    assert received(WIRE, asked(), reply([1.0], usage=usage))[1].usage == expected


@pytest.mark.parametrize(
    "broken",
    [
        b"<html>", b"[]", b"{}", {"data": []}, {"data": "no"}, {"data": [1]}, reply([1.0], [2.0]), reply([]), reply(None),
        reply(["a"]), reply([[1.0]]), reply([True]), reply("%%%"), reply("AAA="), reply(""), {"error": {"message": "no"}},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
    ],
)  # fmt: skip
def test_reply_that_holds_no_vectors_is_the_providers_failure(broken: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        received(WIRE, asked(), broken)
    assert caught.value.failure.failure_class is FailureClass.UPSTREAM


def test_number_that_32_bits_cannot_hold_is_the_providers_failure() -> None:
    with pytest.raises(ProviderFailedError):
        received(WIRE, asked(encoding_format="base64"), reply([1e300]))


def test_embeddings_do_not_stream() -> None:
    one = asked(stream=True)
    with pytest.raises(ProviderFailedError):
        WIRE.decoder(one, WIRE.prepare(one, ""))


def test_format_that_takes_text_alone_says_so_of_other_inputs() -> None:
    with pytest.raises(ProviderFailedError) as caught:
        read_embeddings(asked([[1, 2]])).texts()
    assert caught.value.failure.elsewhere
    assert read_embeddings(asked(["a", "b"])).texts() == ["a", "b"]

"""`POST /embeddings` as a NativeFormat: reads a checked request and makes up its vectors.

Owns checks, count and reply; takes the names of Voyage, Jina and Mistral for the same things too. Invariant: one vector
for each input, in their order.
"""

import struct
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import vector_of
from services.provider_simulator.protocols.native import NativeRequest
from services.provider_simulator.protocols.openai.errors import RefusedError
from services.provider_simulator.protocols.openai.operations import (
    OpenAiRefusedError,
    OperationFormat,
    OperationReply,
    directive_in,
)
from services.provider_simulator.protocols.openai.parameters import (
    Check,
    anything,
    boolean,
    check_fields,
    integer,
    invalid_value,
    missing,
    text,
    wrong_type,
)
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText

PATH = "/embeddings"
_MOST_INPUTS = 2048
_MOST_DIMENSIONS = 4096
_DIMENSIONS = 1024
_KNOWN_DIMENSIONS: Mapping[str, int] = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
}
_PER_ATTACHMENT = 85


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest(NativeRequest):
    """A checked request; `meanings` are what vectors are made of, one for each input."""

    meanings: tuple[str, ...] = ()
    dimensions: int | None = None
    as_base64: bool = False


class EmbeddingsFormat(OperationFormat):
    """See `NativeFormat`."""

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> EmbeddingsRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_fields(body, _CHECKS, refuse_unknown=self._refuse_unknown)
            inputs = _inputs(body.get("input"))
        except RefusedError as refused:
            raise OpenAiRefusedError(refused) from None
        words = [[given] if isinstance(given, str) else _words(given) for given in inputs]
        directive, prompt = directive_in((one for each in words for one in each), "input")
        tokens = sum(counter.count(one) for each in words for one in each)
        tokens += sum(0 if isinstance(given, str) else _size_beside_words(given) for given in inputs)
        return EmbeddingsRequest(
            Ask(prompt, tokens, max_tokens=0),
            directive,
            stream=False,
            meanings=tuple("\n".join(each) or str(given) for each, given in zip(words, inputs, strict=True)),
            dimensions=body.get("dimensions") or body.get("output_dimension"),
            as_base64=body.get("encoding_format") == "base64",
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> OperationReply:
        assert isinstance(asked, EmbeddingsRequest)
        dimensions = asked.dimensions or _KNOWN_DIMENSIONS.get(model, _DIMENSIONS)
        vectors = (vector_of(meaning, dimensions) for meaning in asked.meanings)
        reply: dict[str, Any] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _base64(vector) if asked.as_base64 else vector}
                for index, vector in enumerate(vectors)
            ],
            "model": model,
        }
        if script.report_usage:
            reply["usage"] = {"prompt_tokens": script.prompt_tokens, "total_tokens": script.prompt_tokens}
        return OperationReply(script, reply)


def _base64(vector: list[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _inputs(value: Any) -> list[Any]:
    if value is None:
        raise missing("input")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise wrong_type("input", "a string or an array", value)
    if not value:
        raise invalid_value("input", "it must not be empty.")
    inputs = [value] if type(value[0]) is int else value
    if len(inputs) > _MOST_INPUTS:
        raise invalid_value("input", f"an array may have {_MOST_INPUTS} items at most.")
    kind = type(inputs[0])
    for place, given in enumerate(inputs):
        if type(given) is not kind or not _is_input(given):
            raise invalid_value(f"input[{place}]", "expected a text, tokens, or parts of a content, as the first is.")
    return inputs


def _is_input(given: Any) -> bool:
    if isinstance(given, list):
        return bool(given) and all(type(token) is int and token >= 0 for token in given)
    if isinstance(given, dict):
        parts = given.get("content")
        return isinstance(parts, list) and bool(parts) and all(isinstance(part, dict) for part in parts)
    return isinstance(given, str) and bool(given)


def _words(given: Any) -> list[str]:
    """The texts of an input's parts; tokens have none."""
    parts = given["content"] if isinstance(given, dict) else ()
    return [str(part.get("text", "")) for part in parts if part.get("type") == "text"]


def _size_beside_words(given: Any) -> int:
    if isinstance(given, list):
        return len(given)
    return _PER_ATTACHMENT * len([part for part in given["content"] if part.get("type") != "text"])


def _encoding(param: str, value: Any) -> None:
    if value not in ("float", "base64"):
        raise invalid_value(param, "supported values are: 'float' and 'base64'.")


_CHECKS: Mapping[str, Check] = {
    "model": anything,
    "input": anything,
    "encoding_format": _encoding,
    "dimensions": integer(1, _MOST_DIMENSIONS),
    "output_dimension": integer(1, _MOST_DIMENSIONS),
    "user": text,
    "input_type": text,
    "task": text,
    "truncation": boolean,
}

"""Cohere's embed as a NativeFormat: reads a checked request and makes up its vectors.

Owns the reading, the count and the reply. Does not own checks (vector_validation.py). Invariant: one vector per input,
in their order, in every type that was asked for.
"""

import base64
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import vector_of
from services.provider_simulator.protocols.cohere.chat_format import check_key, model_in, refused
from services.provider_simulator.protocols.cohere.errors import error_body, error_headers, simulated_message
from services.provider_simulator.protocols.cohere.vector_validation import check_embed
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError
from services.provider_simulator.protocols.whole_reply import WholeReply

_PER_IMAGE = 85
_DIMENSIONS = 1024
_NEWER_DIMENSIONS = 1536


@dataclass(frozen=True, slots=True)
class EmbedRequest(NativeRequest):
    """A checked request.

    Attributes:
        texts: of each input, images as their own data.
        image_tokens: counted apart from those of texts.
    """

    texts: tuple[str, ...] = ()
    image_tokens: int = 0
    dimensions: int = _DIMENSIONS
    types: tuple[str, ...] = ("float",)


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post("/v2/embed", server.generate), web.post("/{provider}/v2/embed", server.generate)]


class CohereReply(WholeReply):
    """A body of embed or rerank; implements `player.Rendering`."""

    def __init__(self, script: Script, body: Any) -> None:
        super().__init__(body)
        self._status = script.status

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._status), error_body(simulated_message(self._status))


class EmbedFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        check_key(request)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        return model_in(body)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> EmbedRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_embed(body)
        except InvalidError as error:
            raise refused(error) from None
        inputs = _inputs(body)
        texts = tuple("\n".join(words + pictures) for words, pictures in inputs)
        try:
            directive, prompt = find_directive([word for words, _ in inputs for word in words])
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        image_tokens = _PER_IMAGE * sum(len(pictures) for _, pictures in inputs)
        prompt_tokens = image_tokens + sum(counter.count(word) for words, _ in inputs for word in words)
        older = "v3" in body["model"]
        return EmbedRequest(
            Ask(prompt, prompt_tokens, max_tokens=0),
            directive,
            stream=False,
            texts=texts,
            image_tokens=image_tokens,
            dimensions=body.get("output_dimension", _DIMENSIONS if older else _NEWER_DIMENSIONS),
            types=tuple(body.get("embedding_types", ("float",))),
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> CohereReply:  # noqa: ARG002 (replies do not name the model)
        assert isinstance(asked, EmbedRequest)
        vectors = [vector_of(text, asked.dimensions) for text in asked.texts]
        billed = {"input_tokens": script.prompt_tokens - asked.image_tokens}
        if asked.image_tokens:
            billed["image_tokens"] = asked.image_tokens
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if script.report_usage:
            meta["billed_units"] = billed
        reply = {
            "id": str(uuid.uuid4()),
            "response_type": "embeddings_by_type",
            "embeddings": {kind: [_typed(kind, vector) for vector in vectors] for kind in asked.types},
            "texts": list(asked.texts),
            "meta": meta,
        }
        return CohereReply(script, reply)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return error_headers(refused.status), error_body(refused.message)


def _inputs(body: Mapping[str, Any]) -> list[tuple[list[str], list[str]]]:
    """The words and the pictures of each input."""
    if "texts" in body:
        return [([text], []) for text in body["texts"]]
    if "images" in body:
        return [([], [image]) for image in body["images"]]
    return [
        (
            [item["text"] for item in given["content"] if item["type"] == "text"],
            [item["image_url"]["url"] for item in given["content"] if item["type"] == "image_url"],
        )
        for given in body["inputs"]
    ]


def _typed(kind: str, vector: list[float]) -> Any:
    match kind:
        case "float":
            return vector
        case "base64":
            return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        case "int8":
            return [round(127 * value) for value in vector]
        case "uint8":
            return [round(127 * value) + 128 for value in vector]
        case _:
            bits = [
                sum((value > 0) << place for place, value in enumerate(vector[at : at + 8]))
                for at in range(0, len(vector), 8)
            ]
            return bits if kind == "ubinary" else [bit - 128 for bit in bits]

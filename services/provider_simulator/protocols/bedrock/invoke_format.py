"""Bedrock's InvokeModel as a NativeFormat, for models of vectors and rankings: each maker's own body.

Owns the path, which body belongs to which model, and the replies. Does not own checks of Cohere's bodies
(cohere/vector_validation.py). Invariant: one vector per input, in their order; what is counted is said where the real
model says it.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import relevance_of, vector_of
from services.provider_simulator.protocols.bedrock.converse_format import ConverseFormat
from services.provider_simulator.protocols.bedrock.errors import error_body, error_headers, simulated_message
from services.provider_simulator.protocols.cohere.vector_validation import check_embed, check_rerank
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import (
    InvalidError,
    base64_text,
    boolean,
    dotted,
    fields,
    filled,
    integer,
    items,
    one_of,
    text,
    wrong,
)
from services.provider_simulator.protocols.whole_reply import WholeReply

_PATH = "model/{model:[^/]+}/invoke"
_PER_IMAGE = 85
_DIMENSIONS = 1024
_NOVA_DIMENSIONS = 3072
_TITAN = fields(
    {
        "inputText": filled,
        "dimensions": integer(256, 1024),
        "normalize": boolean,
        "embeddingTypes": items(one_of("float", "binary"), least=1),
    },
    ["inputText"],
)
_TITAN_FIRST = fields({"inputText": filled}, ["inputText"])
_TITAN_IMAGE = fields(
    {
        "inputText": filled,
        "inputImage": base64_text,
        "embeddingConfig": fields({"outputEmbeddingLength": integer(256, 1024)}),
    }
)
_NOVA = fields(
    {
        "schemaVersion": one_of("nova-multimodal-embed-v1"),
        "taskType": one_of("SINGLE_EMBEDDING"),
        "singleEmbeddingParams": fields(
            {
                "embeddingPurpose": one_of("GENERIC_INDEX", "GENERIC_RETRIEVAL", "CLASSIFICATION", "CLUSTERING"),
                "embeddingDimension": integer(256, _NOVA_DIMENSIONS),
                "text": fields(
                    {"truncationMode": one_of("START", "END", "NONE"), "value": filled}, ["truncationMode", "value"]
                ),
            },
            ["embeddingPurpose", "text"],
        ),
    },
    ["taskType", "singleEmbeddingParams"],
)
_AMAZON_RERANK = fields(
    {"query": filled, "documents": items(text, least=1), "top_n": integer(1, 2**31)}, ["query", "documents"]
)

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InvokeRequest(NativeRequest):
    """A checked request, with the reply to it; `counted` says that the reply tells the tokens."""

    reply: Mapping[str, Any] | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a body asks for, in no maker's terms."""

    texts: tuple[str, ...]
    reply: Mapping[str, Any]
    images: int = 0
    counted: bool = False


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post(f"/{_PATH}", server.generate), web.post(f"/{{provider}}/{_PATH}", server.generate)]


class InvokeReply(WholeReply):
    """Implements `player.Rendering`."""

    def __init__(self, script: Script, body: Any) -> None:
        super().__init__(body)
        self._status = script.status

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._status), error_body(simulated_message(self._status))


class InvokeFormat(ConverseFormat):
    """See `NativeFormat`."""

    def read(self, request: web.Request, body: Body, counter: CountsText) -> InvokeRequest:
        model = self.model_of(request, body)
        read = next((read for words, read in _BODIES if words in model), None)
        if read is None:
            raise RefusedNativeError("The provided model identifier is invalid.")
        try:
            asked = read(body)
        except InvalidError as error:
            words = f"{dotted(error.where)}: {error.words}" if error.where else error.words
            raise RefusedNativeError(f"Malformed input request: {words}, please reformat your input.") from None
        try:
            directive, prompt = find_directive(asked.texts)
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        tokens = sum(map(counter.count, asked.texts)) + _PER_IMAGE * asked.images
        return InvokeRequest(
            Ask(prompt, tokens, max_tokens=0), directive, stream=False, reply=asked.reply, counted=asked.counted
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> Any:  # noqa: ARG002 (replies do not name the model)
        assert isinstance(asked, InvokeRequest)
        assert asked.reply is not None
        told = {"inputTextTokenCount": script.prompt_tokens} if asked.counted and script.report_usage else {}
        return InvokeReply(script, {**asked.reply, **told})


def _titan(body: Body) -> _Asked:
    _TITAN((), body)
    vector = vector_of(body["inputText"], body.get("dimensions", _DIMENSIONS))
    return _Asked((body["inputText"],), {"embedding": vector, "embeddingsByType": {"float": vector}}, counted=True)


def _titan_first(body: Body) -> _Asked:
    _TITAN_FIRST((), body)
    return _Asked((body["inputText"],), {"embedding": vector_of(body["inputText"], 1536)}, counted=True)


def _titan_image(body: Body) -> _Asked:
    _TITAN_IMAGE((), body)
    words = (body["inputText"],) if "inputText" in body else ()
    picture = body.get("inputImage", "")
    if not words and not picture:
        raise wrong((), "one of inputText and inputImage is required")
    length = body.get("embeddingConfig", {}).get("outputEmbeddingLength", _DIMENSIONS)
    vector = vector_of(" ".join([*words, picture]), length)
    return _Asked(words, {"embedding": vector, "message": None}, images=int(bool(picture)), counted=True)


def _nova(body: Body) -> _Asked:
    _NOVA((), body)
    wanted = body["singleEmbeddingParams"]
    said = wanted["text"]["value"]
    vector = vector_of(said, wanted.get("embeddingDimension", _NOVA_DIMENSIONS))
    return _Asked((said,), {"embeddings": [{"embeddingType": "TEXT", "embedding": vector}]})


def _cohere_embed(body: Body) -> _Asked:
    check_embed({"model": "embed-v4.0", **body})
    texts = tuple(body.get("texts", ()))
    vectors = [vector_of(text, body.get("output_dimension", _DIMENSIONS)) for text in texts]
    images = 0
    for given in body.get("inputs", ()):
        said = [item["text"] if item["type"] == "text" else item["image_url"]["url"] for item in given["content"]]
        images += sum(item["type"] == "image_url" for item in given["content"])
        texts = (*texts, *(item["text"] for item in given["content"] if item["type"] == "text"))
        vectors.append(vector_of(" ".join(said), body.get("output_dimension", _DIMENSIONS)))
    typed = {kind: vectors for kind in body.get("embedding_types", ()) if kind == "float"}
    kind = "embeddings_by_type" if typed else "embeddings_floats"
    return _Asked(
        texts, {"id": str(uuid.uuid4()), "embeddings": typed or vectors, "response_type": kind}, images=images
    )


def _cohere_rerank(body: Body) -> _Asked:
    if body.get("api_version") != 2:
        raise wrong(("api_version",), "api_version must be 2")
    named = {name: value for name, value in body.items() if name != "api_version"}
    check_rerank({"model": "rerank-v3.5", **named})
    return _ranked(named)


def _amazon_rerank(body: Body) -> _Asked:
    _AMAZON_RERANK((), body)
    return _ranked(body)


def _ranked(body: Body) -> _Asked:
    scores = relevance_of(body["query"], body["documents"])
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.get("top_n")]
    return _Asked((body["query"],), {"results": [{"index": i, "relevance_score": scores[i]} for i in best]})


# In this order: the first whose words are in the model's id decides.
_BODIES: tuple[tuple[str, Callable[[Body], _Asked]], ...] = (
    ("cohere.embed", _cohere_embed),
    ("cohere.rerank", _cohere_rerank),
    ("amazon.rerank", _amazon_rerank),
    ("titan-embed-image", _titan_image),
    ("titan-embed-text-v2", _titan),
    ("titan-embed", _titan_first),
    ("multimodal-embeddings", _nova),
)

"""Vertex AI's :predict for vectors as a NativeFormat.

Owns the path, the checks, the reading and the reply. Invariant: one prediction per instance, in their order, each with
the tokens that it was made of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import vector_of
from services.provider_simulator.protocols.gemini.embed_format import TASK, EmbedReply
from services.provider_simulator.protocols.gemini.validation import refusal_words
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import (
    InvalidError,
    boolean,
    fields,
    filled,
    integer,
    items,
    text,
    wrong,
)
from services.provider_simulator.protocols.vertex.publisher_formats import VertexContentFormat

_PATH = "/{provider}/v1/projects/{project}/locations/{location}/publishers/google/models/{model:[^:]+}:predict"
_DIMENSIONS = 768
_GEMINI_DIMENSIONS = 3072
_ONE_AT_A_TIME = "gemini-embedding"
_REQUEST = fields(
    {
        "instances": items(
            fields({"content": filled, "task_type": TASK, "title": text}, ["content"]), least=1, most=250
        ),
        "parameters": fields({"outputDimensionality": integer(1, _GEMINI_DIMENSIONS), "autoTruncate": boolean}),
    },
    ["instances"],
)


@dataclass(frozen=True, slots=True)
class PredictRequest(NativeRequest):
    """A checked request: texts with their tokens."""

    texts: tuple[tuple[str, int], ...] = ()
    dimensions: int = _DIMENSIONS


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post(_PATH, server.generate)]


class PredictFormat(VertexContentFormat):
    """See `NativeFormat`."""

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> PredictRequest:
        model = self.model_of(request, body)
        try:
            _REQUEST((), body)
            if len(body["instances"]) > 1 and model.startswith(_ONE_AT_A_TIME):
                raise wrong(("instances",), "Only one instance is supported for this model")
        except InvalidError as error:
            raise RefusedNativeError(refusal_words(error)) from None
        texts = tuple((one["content"], counter.count(one["content"])) for one in body["instances"])
        try:
            directive, prompt = find_directive([said for said, _ in texts])
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        usual = _GEMINI_DIMENSIONS if model.startswith(_ONE_AT_A_TIME) else _DIMENSIONS
        return PredictRequest(
            Ask(prompt, sum(tokens for _, tokens in texts), max_tokens=0),
            directive,
            stream=False,
            texts=texts,
            dimensions=body.get("parameters", {}).get("outputDimensionality", usual),
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> Any:  # noqa: ARG002 (replies do not name the model)
        assert isinstance(asked, PredictRequest)
        predictions = []
        for said, tokens in asked.texts:
            embeddings: dict[str, Any] = {"values": vector_of(said, asked.dimensions)}
            if script.report_usage:
                embeddings["statistics"] = {"token_count": tokens, "truncated": False}
            predictions.append({"embeddings": embeddings})
        characters = sum(len(said) for said, _ in asked.texts)
        return EmbedReply(script, {"predictions": predictions, "metadata": {"billableCharacterCount": characters}})

"""Oracle's embedText as a NativeFormat.

Owns checks, count and reply. Invariant: one vector for each input, in their order; the counts add up to what is billed.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import vector_of
from services.provider_simulator.protocols.native import NativeRequest, RefusedNativeError
from services.provider_simulator.protocols.oci.chat_format import check_proof, model_in
from services.provider_simulator.protocols.oci.errors import refusal, simulated_body
from services.provider_simulator.protocols.oci.validation import check_embed
from services.provider_simulator.protocols.openai.errors import error_headers
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError, dotted
from services.provider_simulator.protocols.whole_reply import WholeReply

_PER_IMAGE = 85
_DIMENSIONS = 1024
_NEWER_DIMENSIONS = 1536


@dataclass(frozen=True, slots=True)
class EmbedRequest(NativeRequest):
    """A checked request: what is to be embedded, and the tokens of each."""

    inputs: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    dimensions: int = _DIMENSIONS


class EmbedFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        check_proof(request)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        return model_in(body)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> EmbedRequest:  # noqa: ARG002 (the body says it all)
        try:
            check_embed(body)
        except InvalidError as error:
            raise RefusedNativeError(f"{dotted(error.where)}: {error.words}") from None
        inputs = body["inputs"]
        shown = body.get("inputType") == "IMAGE"
        try:
            directive, prompt = find_directive([] if shown else inputs)
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        counts = (_PER_IMAGE,) if shown else tuple(counter.count(one) for one in inputs)
        known = _DIMENSIONS if "v3" in model_in(body) else _NEWER_DIMENSIONS
        return EmbedRequest(
            Ask(prompt, sum(counts), max_tokens=0),
            directive,
            stream=False,
            inputs=tuple(inputs),
            counts=counts,
            dimensions=body.get("outputDimensions", known),
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> "EmbedReply":
        assert isinstance(asked, EmbedRequest)
        reply: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "modelId": model,
            "modelVersion": "3.0",
            "embeddings": [vector_of(one, asked.dimensions) for one in asked.inputs],
        }
        if script.report_usage:
            counted = sum(asked.counts)
            reply["usage"] = {"promptTokens": counted, "completionTokens": 0, "totalTokens": counted}
        return EmbedReply(script, reply)

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return refusal(refused)


class EmbedReply(WholeReply):
    """A body that is there at once; implements `player.Rendering`."""

    def __init__(self, script: Script, body: Any) -> None:
        super().__init__(body)
        self._status = script.status

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._status), simulated_body(self._status)

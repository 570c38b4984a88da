"""GigaChat's embeddings as a NativeFormat: OpenAI's, but that each vector has a count of its own.

Owns checks, count and reply. Invariant: one vector for each input, in their order; the counts add up to what is billed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import vector_of
from services.provider_simulator.protocols.gigachat.chat_format import check_token, model_in
from services.provider_simulator.protocols.gigachat.errors import refusal, simulated_body
from services.provider_simulator.protocols.native import NativeRequest, RefusedNativeError
from services.provider_simulator.protocols.openai.errors import error_headers
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError, dotted, fields, filled, items, text_or
from services.provider_simulator.protocols.whole_reply import WholeReply

PATH = "/embeddings"
_DIMENSIONS = 1024
_REQUEST = fields({"model": filled, "input": text_or(items(filled, least=1))}, ["model", "input"])


@dataclass(frozen=True, slots=True)
class EmbedRequest(NativeRequest):
    """A checked request: what is to be embedded, and the tokens of each."""

    inputs: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


class EmbedFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        check_token(request)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        return model_in(body)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> EmbedRequest:  # noqa: ARG002 (the body says it all)
        try:
            _REQUEST((), body)
        except InvalidError as error:
            raise RefusedNativeError(f"Invalid params: {dotted(error.where)}: {error.words}", status=422) from None
        given = body["input"]
        inputs = [given] if isinstance(given, str) else given
        try:
            directive, prompt = find_directive(inputs)
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        counts = tuple(counter.count(one) for one in inputs)
        ask = Ask(prompt, sum(counts), max_tokens=0)
        return EmbedRequest(ask, directive, stream=False, inputs=tuple(inputs), counts=counts)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> "EmbedReply":
        assert isinstance(asked, EmbedRequest)
        data = [
            {
                "object": "embedding",
                "embedding": vector_of(one, _DIMENSIONS),
                "index": place,
                **({"usage": {"prompt_tokens": asked.counts[place]}} if script.report_usage else {}),
            }
            for place, one in enumerate(asked.inputs)
        ]
        return EmbedReply(script, {"object": "list", "data": data, "model": model})

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return refusal(refused)


class EmbedReply(WholeReply):
    """A body that is there at once; implements `player.Rendering`."""

    def __init__(self, script: Script, body: Any) -> None:
        super().__init__(body)
        self._status = script.status

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._status), simulated_body(self._status)

"""Gemini's embedContent and batchEmbedContents as a NativeFormat: checks a request and makes up its vectors.

Owns the path, the checks, the reading and the reply. Invariant: one vector per request, in their order; nothing is said
about tokens, as the real API says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import vector_of
from services.provider_simulator.protocols.gemini.content_format import ContentFormat
from services.provider_simulator.protocols.gemini.errors import HEADERS, error_body, simulated_message
from services.provider_simulator.protocols.gemini.field_names import in_camel_case
from services.provider_simulator.protocols.gemini.validation import refusal_words
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import (
    InvalidError,
    base64_text,
    fields,
    filled,
    integer,
    items,
    one_of,
    text,
    wrong,
)
from services.provider_simulator.protocols.whole_reply import WholeReply

_PATH = "{version:v1|v1beta}/models/{model:[^:]+}:{method:batchEmbedContents|embedContent}"
_PER_ATTACHMENT = 85
_DIMENSIONS = 3072
_BLOB = fields({"mimeType": filled, "data": base64_text}, ["mimeType", "data"])
_CONTENT = fields(
    {"role": one_of("user"), "parts": items(fields({"text": text, "inlineData": _BLOB}), least=1)}, ["parts"]
)
TASK = one_of(
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
)
_FIELDS = {
    "model": filled,
    "content": _CONTENT,
    "taskType": TASK,
    "title": text,
    "outputDimensionality": integer(1, _DIMENSIONS),
}
_ONE = fields(_FIELDS, ["content"])
_BATCH = fields({"requests": items(fields(_FIELDS, ["model", "content"]), least=1, most=100)}, ["requests"])


@dataclass(frozen=True, slots=True)
class EmbedRequest(NativeRequest):
    """A checked request: the text and the dimensions of each vector; `batch`: it came as one of many."""

    wanted: tuple[tuple[str, int], ...] = ()
    batch: bool = True


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post(f"/{_PATH}", server.generate), web.post(f"/{{provider}}/{_PATH}", server.generate)]


class EmbedReply(WholeReply):
    """Implements `player.Rendering`."""

    def __init__(self, script: Script, body: Any) -> None:
        super().__init__(body)
        self._status = script.status

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return HEADERS, error_body(self._status, simulated_message(self._status))


class EmbedFormat(ContentFormat):
    """See `NativeFormat`."""

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> EmbedRequest:
        batch = request.match_info["method"] == "batchEmbedContents"
        body = in_camel_case(body)
        try:
            (_BATCH if batch else _ONE)((), body)
            requests = body["requests"] if batch else [body]
            _check_models(requests, self.model_of(request, body))
        except InvalidError as error:
            raise RefusedNativeError(refusal_words(error)) from None
        parts = [part for one in requests for part in one["content"]["parts"]]
        try:
            directive, prompt = find_directive([part["text"] for part in parts if "text" in part])
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        tokens = sum(counter.count(part["text"]) if "text" in part else _PER_ATTACHMENT for part in parts)
        wanted = tuple((_text(one), one.get("outputDimensionality", _DIMENSIONS)) for one in requests)
        return EmbedRequest(Ask(prompt, tokens, max_tokens=0), directive, stream=False, wanted=wanted, batch=batch)

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> Any:  # noqa: ARG002 (replies do not name the model)
        assert isinstance(asked, EmbedRequest)
        vectors = [{"values": vector_of(text, dimensions)} for text, dimensions in asked.wanted]
        return EmbedReply(script, {"embeddings": vectors} if asked.batch else {"embedding": vectors[0]})


def _check_models(requests: list[Mapping[str, Any]], model: str) -> None:
    for place, one in enumerate(requests):
        if "model" in one and one["model"] != f"models/{model}":
            raise wrong(("requests", place, "model"), "model does not match the model in the path")


def _text(one: Mapping[str, Any]) -> str:
    parts = one["content"]["parts"]
    return "\n".join(part["text"] if "text" in part else part["inlineData"]["data"] for part in parts)

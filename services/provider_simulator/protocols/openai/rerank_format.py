"""`POST /rerank` as OpenAI-compatible hosts have it from Jina, as a NativeFormat.

Owns checks, the count of tokens and searches, and the reply; takes Voyage's name for the number of results too.
Invariant: the most relevant document comes first.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import relevance_of
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

PATH = "/rerank"
_PIECES_PER_SEARCH = 100
_TOKENS_PER_PIECE = 500
_PER_IMAGE = 85


@dataclass(frozen=True, slots=True)
class RerankRequest(NativeRequest):
    """A checked request; `documents` as texts in the caller's order."""

    query: str = ""
    documents: tuple[str, ...] = ()
    top_n: int | None = None
    gives_documents: bool = True


class RerankFormat(OperationFormat):
    """See `NativeFormat`."""

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> RerankRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_fields(body, _CHECKS, refuse_unknown=self._refuse_unknown)
            query, documents = _query(body.get("query")), _documents(body.get("documents"))
        except RefusedError as refused:
            raise OpenAiRefusedError(refused) from None
        directive, prompt = directive_in([query], "query")
        query_tokens = counter.count(query)
        sizes = [query_tokens + counter.count(words) + _PER_IMAGE * has_image for words, has_image in documents]
        pieces = sum(max(1, -(-size // _TOKENS_PER_PIECE)) for size in sizes)
        return RerankRequest(
            Ask(prompt, sum(sizes), max_tokens=0, search_units=-(-pieces // _PIECES_PER_SEARCH)),
            directive,
            stream=False,
            query=prompt,
            documents=tuple(words for words, _ in documents),
            top_n=body.get("top_n") or body.get("top_k"),
            gives_documents=body.get("return_documents") is not False,
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> OperationReply:
        assert isinstance(asked, RerankRequest)
        scores = relevance_of(asked.query, asked.documents)
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])[: asked.top_n]
        results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in ranked]
        if asked.gives_documents:
            for result in results:
                result["document"] = {"text": asked.documents[result["index"]]}
        reply: dict[str, Any] = {"id": f"rerank-{secrets.token_hex(12)}", "model": model, "results": results}
        if script.report_usage:
            reply["usage"] = {"prompt_tokens": script.prompt_tokens, "total_tokens": script.prompt_tokens}
            reply["meta"] = {"billed_units": {"search_units": script.search_units}}
        return OperationReply(script, reply)


def _query(value: Any) -> str:
    if value is None or value == "":
        raise missing("query")
    if not isinstance(value, str):
        raise wrong_type("query", "a string", value)
    return value


def _documents(value: Any) -> list[tuple[str, bool]]:
    """Texts, and whether there is an image beside them."""
    if value is None:
        raise missing("documents")
    if not isinstance(value, list):
        raise wrong_type("documents", "an array", value)
    if not value:
        raise invalid_value("documents", "it must not be empty.")
    return [_document(f"documents[{place}]", given) for place, given in enumerate(value)]


def _document(where: str, given: Any) -> tuple[str, bool]:
    if isinstance(given, str):
        return given, False
    if isinstance(given, dict) and (isinstance(given.get("text"), str) or isinstance(given.get("image"), str)):
        return str(given.get("text") or ""), given.get("image") is not None
    raise invalid_value(where, "expected a text, or an object with a text or an image.")


_CHECKS: Mapping[str, Check] = {
    "model": anything,
    "query": anything,
    "documents": anything,
    "top_n": integer(1, 2**31 - 1),
    "top_k": integer(1, 2**31 - 1),
    "return_documents": boolean,
    "truncation": boolean,
    "user": text,
}

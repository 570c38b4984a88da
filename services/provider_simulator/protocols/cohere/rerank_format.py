"""Cohere's rerank as a NativeFormat: reads a checked request and makes up the ranking.

Owns the reading, the count of searches and the reply. Does not own checks (vector_validation.py). Invariant: a search
ranks a hundred documents; the most relevant comes first.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from services.provider_simulator.core.directive import DirectiveError, find_directive
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.core.vectors import relevance_of
from services.provider_simulator.protocols.cohere.chat_format import check_key, model_in, refused
from services.provider_simulator.protocols.cohere.embed_format import CohereReply
from services.provider_simulator.protocols.cohere.errors import error_body, error_headers
from services.provider_simulator.protocols.cohere.vector_validation import check_rerank
from services.provider_simulator.protocols.native import NativeRequest, NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText
from services.provider_simulator.protocols.strict import InvalidError

_DOCUMENTS_PER_SEARCH = 100
# From this generation on models are sold by tokens.
_BY_TOKENS = "rerank-v5"


@dataclass(frozen=True, slots=True)
class RerankRequest(NativeRequest):
    """A checked request; `documents` in the caller's order."""

    query: str = ""
    documents: tuple[str, ...] = ()
    top_n: int | None = None


def routes(server: NativeServer) -> list[web.RouteDef]:
    return [web.post("/v2/rerank", server.generate), web.post("/{provider}/v2/rerank", server.generate)]


class RerankFormat:
    """See `NativeFormat`."""

    def authorize(self, request: web.Request) -> None:
        check_key(request)

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        return model_in(body)

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> RerankRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_rerank(body)
        except InvalidError as error:
            raise refused(error) from None
        try:
            directive, query = find_directive([body["query"]])
        except DirectiveError as error:
            raise RefusedNativeError(str(error)) from None
        documents = tuple(body["documents"])
        query_tokens = counter.count(body["query"])
        searches = -(-len(documents) // _DOCUMENTS_PER_SEARCH)
        prompt_tokens = sum(query_tokens + counter.count(document) for document in documents)
        return RerankRequest(
            Ask(
                query, prompt_tokens, max_tokens=0, search_units=0 if body["model"].startswith(_BY_TOKENS) else searches
            ),
            directive,
            stream=False,
            query=query,
            documents=documents,
            top_n=body.get("top_n"),
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> CohereReply:  # noqa: ARG002 (replies do not name the model)
        assert isinstance(asked, RerankRequest)
        scores = relevance_of(asked.query, asked.documents)
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])[: asked.top_n]
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if script.report_usage:
            searches = script.search_units
            meta["billed_units"] = {"search_units": searches} if searches else {"input_tokens": script.prompt_tokens}
        results = [{"index": index, "relevance_score": scores[index]} for index in ranked]
        return CohereReply(script, {"id": str(uuid.uuid4()), "results": results, "meta": meta})

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        return error_headers(refused.status), error_body(refused.message)

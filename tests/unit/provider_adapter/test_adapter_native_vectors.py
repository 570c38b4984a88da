"""Embeddings and rankings in formats of providers' own: what is sent, and what comes of the reply."""

import base64
import struct
from typing import Any

import orjson
import pytest

from libs.errors import AppError
from services.provider_adapter.protocols.cohere.embeddings import CohereEmbeddings
from services.provider_adapter.protocols.cohere.rerank import CohereRerank
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.gemini.embeddings import GeminiEmbeddings
from services.provider_adapter.protocols.port import EMBEDDINGS, RERANK, Attempt, Prepared, Usage, WireProtocol
from services.provider_adapter.protocols.vertex.embeddings import VertexEmbeddings

PNG = "data:image/png;base64,aGk="
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}


def attempt(model: str, operation: str = EMBEDDINGS, **fields: Any) -> Attempt:
    unsupported = fields.pop("unsupported", ())
    return Attempt(
        generation_id="gen-1",
        provider_name="Some Provider",
        provider_model_id=model,
        model="maker/model",
        created_s=1,
        stream=False,
        body=orjson.dumps(fields),
        operation=operation,
        unsupported_parameters=unsupported,
    )


def prepared(protocol: WireProtocol, model: str, operation: str = EMBEDDINGS, **fields: Any) -> Prepared:
    return protocol.prepare(attempt(model, operation, **fields), "")


def sent(protocol: WireProtocol, model: str, operation: str = EMBEDDINGS, **fields: Any) -> dict[str, Any]:
    body = orjson.loads(prepared(protocol, model, operation, **fields).body)
    assert isinstance(body, dict)
    return body


def answered(
    protocol: WireProtocol, reply: Any, operation: str = EMBEDDINGS, **fields: Any
) -> tuple[Any, Usage | None]:
    asked = attempt("m", operation, **fields)
    made, facts = protocol.whole(asked, protocol.prepare(asked, ""), orjson.dumps(reply))
    assert facts.has_content
    return orjson.loads(made), facts.usage


def test_cohere_is_sent_texts_with_what_they_are_for() -> None:
    made = prepared(
        CohereEmbeddings(), "embed-v4.0", input=["a", "b"], dimensions=256, input_type="query", user="alice"
    )

    assert made.path == "/embed"
    assert orjson.loads(made.body) == {
        "model": "embed-v4.0",
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "search_document"),
        ("CLUSTERING", "clustering"),
        ("passage", "search_document"),
        ("odd", "search_document"),
    ],
)
def test_cohere_always_hears_a_purpose(given: Any, expected: str) -> None:
    assert sent(CohereEmbeddings(), "m", input="a", input_type=given)["input_type"] == expected


def test_cohere_is_sent_mixed_inputs_as_contents() -> None:
    mixed = [{"content": [{"type": "text", "text": "a"}, IMAGE]}, {"content": [{"type": "text", "text": "b"}]}]

    assert sent(CohereEmbeddings(), "m", input=mixed)["inputs"] == [
        {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PNG}}]},
        {"content": [{"type": "text", "text": "b"}]},
    ]


@pytest.mark.parametrize("protocol", [CohereEmbeddings(), GeminiEmbeddings()])
@pytest.mark.parametrize(
    "given",
    [
        [1, 2],
        [[1, 2]],
        [{"content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}],
    ],
)
def test_inputs_without_a_form_are_refused_and_may_be_tried_elsewhere(protocol: WireProtocol, given: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        prepared(protocol, "m", input=given)

    assert caught.value.failure.elsewhere is True


def test_unsupported_parameters_are_left_out() -> None:
    body = sent(CohereEmbeddings(), "m", input="a", dimensions=9, unsupported=("dimensions",))

    assert "output_dimension" not in body


def test_gemini_is_sent_one_request_per_input() -> None:
    made = prepared(
        GeminiEmbeddings(), "gemini-embedding-001", input=["a", "b"], dimensions=8, input_type="search_query"
    )
    common = {"model": "models/gemini-embedding-001", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8}

    assert made.path == "/models/gemini-embedding-001:batchEmbedContents"
    assert orjson.loads(made.body) == {
        "requests": [{**common, "content": {"parts": [{"text": text}]}} for text in ("a", "b")]
    }
    assert "taskType" not in sent(GeminiEmbeddings(), "m", input="a", input_type="odd")["requests"][0]
    parts = sent(GeminiEmbeddings(), "m", input=[{"content": [IMAGE]}])["requests"][0]["content"]["parts"]
    assert parts == [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]


COHERE = {"id": "up", "embeddings": {"float": [[0.5, -1], [0.25, 2]]}, "meta": {"billed_units": {"input_tokens": 7}}}
GEMINI = {"embeddings": [{"values": [0.5, -1]}, {"values": [0.25, 2]}]}


@pytest.mark.parametrize(
    ("protocol", "reply", "usage"),
    [
        (CohereEmbeddings(), COHERE, Usage(7, 0)),
        (CohereEmbeddings(), {**COHERE, "embeddings": COHERE["embeddings"]["float"], "meta": {}}, None),  # type: ignore[index]
        (GeminiEmbeddings(), GEMINI, None),
        (GeminiEmbeddings(), {**GEMINI, "usageMetadata": {"promptTokenCount": 3}}, Usage(3, 0)),
    ],
)
def test_vectors_are_the_public_routes(protocol: WireProtocol, reply: Any, usage: Usage | None) -> None:
    made, counted = answered(protocol, reply, input=["a", "b"])

    assert made == {
        "id": "gen-1",
        "object": "list",
        "model": "maker/model",
        "provider": "Some Provider",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
            {"object": "embedding", "index": 1, "embedding": [0.25, 2]},
        ],
    }
    assert counted == usage


def test_vertex_is_sent_instances_and_counts_each() -> None:
    asked = attempt("text-embedding-005", input=["a", "b"], dimensions=8, input_type="search_query")
    made = VertexEmbeddings().prepare(asked, "")
    counted = {"values": [0.5], "statistics": {"token_count": 3.0, "truncated": False}}
    reply = {"predictions": [{"embeddings": counted}, {"embeddings": counted}]}
    uncounted = {"predictions": [{"embeddings": counted}, {"embeddings": {"values": [0.5]}}]}

    assert made.path == "/publishers/google/models/text-embedding-005:predict"
    assert orjson.loads(made.body) == {
        "instances": [{"content": text, "task_type": "RETRIEVAL_QUERY"} for text in ("a", "b")],
        "parameters": {"outputDimensionality": 8},
    }
    assert answered(VertexEmbeddings(), reply, input=["a", "b"])[1] == Usage(6, 0)
    assert answered(VertexEmbeddings(), uncounted, input=["a", "b"])[1] is None
    unusable: list[Any] = [
        {"predictions": 7},
        {"predictions": [7, 7]},
        {"error": {"message": "x"}},
        {"predictions": []},
    ]
    for wrong in unusable:
        with pytest.raises(ProviderFailedError):
            answered(VertexEmbeddings(), wrong, input=["a", "b"])


def test_vertex_takes_one_input_at_a_time_of_newer_models() -> None:
    with pytest.raises(ProviderFailedError) as caught:
        prepared(VertexEmbeddings(), "gemini-embedding-001", input=["a", "b"])

    assert caught.value.failure.elsewhere is True
    assert sent(VertexEmbeddings(), "gemini-embedding-001", input=["a"]) == {"instances": [{"content": "a"}]}


def test_base64_is_made_here() -> None:
    made, _ = answered(CohereEmbeddings(), COHERE, input=["a", "b"], encoding_format="base64")

    assert struct.unpack("<2f", base64.b64decode(made["data"][1]["embedding"])) == (0.25, 2)


@pytest.mark.parametrize(
    "embeddings",
    [None, {}, {"float": [[1]]}, {"float": [[1], []]}, {"float": [[1], ["a"]]}, {"float": [[1], [True]]}, {"float": 3}],
)
def test_vectors_that_are_none_are_the_providers_failure(embeddings: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        answered(CohereEmbeddings(), {**COHERE, "embeddings": embeddings}, input=["a", "b"])

    assert caught.value.failure.failure_class is FailureClass.UPSTREAM


def test_pictures_count_beside_words() -> None:
    reply = {**COHERE, "meta": {"billed_units": {"input_tokens": 2, "image_tokens": 85.0}}}

    assert answered(CohereEmbeddings(), reply, input=["a", "b"])[1] == Usage(87, 0, prompt_image_tokens=85)


def test_rankings_are_sent_as_texts() -> None:
    documents = ["a", {"text": "b"}]
    made = prepared(CohereRerank(), "rerank-v3.5", RERANK, query="q", documents=documents, top_n=9)

    assert made.path == "/rerank"
    assert orjson.loads(made.body) == {"model": "rerank-v3.5", "query": "q", "documents": ["a", "b"], "top_n": 2}
    with pytest.raises(ProviderFailedError):
        prepared(CohereRerank(), "m", RERANK, query="q", documents=[{"text": "a", "image": PNG}])


@pytest.mark.parametrize(
    ("meta", "usage"),
    [
        ({"billed_units": {"search_units": 2.0}}, Usage(0, 0, search_units=2)),
        ({"billed_units": {"input_tokens": 40}}, Usage(40, 0)),
        ({"tokens": {"input_tokens": 40.0}, "billed_units": {"search_units": 1}}, Usage(40, 0, search_units=1)),
        ({}, None),
        (None, None),
    ],
)
def test_results_bring_their_documents_the_most_relevant_first(meta: Any, usage: Usage | None) -> None:
    reply = {
        "id": "up",
        "results": [{"index": 1, "relevance_score": 0.1}, {"index": 0, "relevance_score": 0.9}],
        "meta": meta,
    }

    made, counted = answered(CohereRerank(), reply, RERANK, query="q", documents=["a", {"text": "b"}])

    assert made == {
        "id": "gen-1",
        "model": "maker/model",
        "provider": "Some Provider",
        "results": [
            {"index": 0, "relevance_score": 0.9, "document": {"text": "a"}},
            {"index": 1, "relevance_score": 0.1, "document": {"text": "b"}},
        ],
    }
    assert counted == usage


@pytest.mark.parametrize(
    "results",
    [None, [{"index": 2, "relevance_score": 1}], [{"index": -1, "relevance_score": 1}], [{"index": 0}], [7]],
)
def test_results_about_nothing_are_the_providers_failure(results: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        answered(CohereRerank(), {"results": results}, RERANK, query="q", documents=["a", "b"])

    assert caught.value.failure.failure_class is FailureClass.UPSTREAM


@pytest.mark.parametrize(
    ("protocol", "operation"),
    [(CohereEmbeddings(), EMBEDDINGS), (CohereRerank(), RERANK), (GeminiEmbeddings(), EMBEDDINGS)],
)
def test_errors_of_any_kind_are_failures(protocol: WireProtocol, operation: str) -> None:
    asked = attempt("m", operation, input="a", query="q", documents=["a"])
    made = protocol.prepare(asked, "")

    for body in (b"", b"<html>", b"[]", b"{}", b'{"error":{"message":"x"}}', b'{"message":"x"}'):
        with pytest.raises(ProviderFailedError):
            protocol.whole(asked, made, body)
    assert protocol.failure(429, {"retry-after": "7"}, b'{"message":"x"}', 0).failure_class is FailureClass.RATE_LIMITED
    with pytest.raises(ProviderFailedError):
        protocol.decoder(asked, made)
    for wrong in (b"[]", b"{"):
        with pytest.raises(AppError):
            protocol.prepare(Attempt("g", "P", "m", "m", 1, stream=False, body=wrong, operation=operation), "")


def test_headers_are_the_formats_own() -> None:
    assert CohereEmbeddings().headers("k") == CohereRerank().headers("k") == {"Authorization": "Bearer k"}
    assert GeminiEmbeddings().headers("k") == {"x-goog-api-key": "k"}
    assert CohereRerank().headers("") == {}

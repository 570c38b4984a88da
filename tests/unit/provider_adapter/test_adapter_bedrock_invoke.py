"""Vectors and rankings by InvokeModel: each maker's own body."""

from typing import Any

import pytest

from services.provider_adapter.protocols.bedrock_invoke.embeddings import BedrockEmbeddings
from services.provider_adapter.protocols.bedrock_invoke.rerank import BedrockRerank
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import EMBEDDINGS, RERANK, Attempt, Usage
from tests.unit.provider_adapter.operation_bodies import attempt, received, sent

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


def embed(model: str, **body: Any) -> Attempt:
    return attempt(EMBEDDINGS, body, provider_model_id=model)


def test_the_model_is_in_the_path_and_not_in_the_body() -> None:
    made = BedrockEmbeddings().prepare(embed("us.cohere.embed-v4:0", input="a"), "")

    assert made.path == "/model/us.cohere.embed-v4%3A0/invoke"
    assert b"model" not in made.body


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        ("amazon.titan-embed-text-v2:0", {"input": "a", "dimensions": 256}, {"inputText": "a", "dimensions": 256}),
        ("amazon.titan-embed-text-v1", {"input": ["a"], "dimensions": 256}, {"inputText": "a"}),
        ("amazon.titan-embed-g1-text-02", {"input": "a"}, {"inputText": "a"}),
        (
            "amazon.titan-embed-image-v1",
            {"input": [{"content": [{"type": "text", "text": "a"}, IMAGE]}], "dimensions": 384},
            {"inputText": "a", "inputImage": "aGk=", "embeddingConfig": {"outputEmbeddingLength": 384}},
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            {"input": "a", "dimensions": 1024, "input_type": "search_query"},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_RETRIEVAL",
                    "embeddingDimension": 1024,
                    "text": {"truncationMode": "END", "value": "a"},
                },
            },
        ),
        (
            "cohere.embed-english-v3",
            {"input": ["a", "b"], "input_type": "query"},
            {"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"], "truncate": "END"},
        ),
    ],
)
def test_every_maker_has_a_body_of_its_own(model: str, body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sent(BedrockEmbeddings(), embed(model, **body)) == expected


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("amazon.titan-embed-text-v2:0", ["a", "b"]),
        ("amazon.titan-embed-text-v2:0", [{"content": [IMAGE]}]),
        ("amazon.titan-embed-image-v1", [{"content": [IMAGE, IMAGE]}]),
        (
            "amazon.titan-embed-image-v1",
            [{"content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}],
        ),
        ("amazon.nova-2-multimodal-embeddings-v1:0", [[1, 2]]),
    ],
)
def test_what_a_body_has_no_room_for_may_be_tried_elsewhere(model: str, given: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        sent(BedrockEmbeddings(), embed(model, input=given))

    assert caught.value.failure.elsewhere is True


@pytest.mark.parametrize(
    ("model", "reply", "usage"),
    [
        ("amazon.titan-embed-text-v2:0", {"embedding": [1.0, 2.0], "inputTextTokenCount": 3}, Usage(3, 0)),
        ("amazon.titan-embed-image-v1", {"embedding": [1.0, 2.0], "message": None}, None),
        ("amazon.nova-2-multimodal-embeddings-v1:0", {"embeddings": [{"embedding": [1.0, 2.0]}]}, None),
        ("cohere.embed-english-v3", {"embeddings": [[1.0, 2.0]]}, None),
        ("cohere.embed-v4:0", {"embeddings": {"float": [[1.0, 2.0]]}}, None),
    ],
)
def test_every_makers_vectors_are_found(model: str, reply: dict[str, Any], usage: Usage | None) -> None:
    made, facts = received(BedrockEmbeddings(), embed(model, input="a"), reply)

    assert made["data"] == [{"object": "embedding", "embedding": [1.0, 2.0], "index": 0}]
    assert facts.usage == usage


@pytest.mark.parametrize(
    "reply", [b"", b"{}", b'{"embedding":7}', b'{"embeddings":7}', b'{"embeddings":[7]}', b'{"message":"x"}']
)
@pytest.mark.parametrize(
    "model", ["amazon.titan-embed-text-v2:0", "amazon.nova-2-multimodal-embeddings-v1:0", "cohere.embed-v4:0"]
)
def test_replies_without_vectors_are_the_providers_failure(model: str, reply: bytes) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        received(BedrockEmbeddings(), embed(model, input="a"), reply)

    assert caught.value.failure.failure_class is FailureClass.UPSTREAM


def test_rankings_name_the_version_for_cohere_alone() -> None:
    asked = {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}
    body = {"query": "q", "documents": ["a", "b"], "top_n": 1}

    cohere = attempt(RERANK, asked, provider_model_id="cohere.rerank-v3-5:0")
    amazon = attempt(RERANK, asked, provider_model_id="amazon.rerank-v1:0")

    assert sent(BedrockRerank(), cohere) == {**body, "api_version": 2}
    assert sent(BedrockRerank(), amazon) == body
    for name in ("relevance_score", "relevanceScore"):
        made, facts = received(BedrockRerank(), amazon, {"results": [{"index": 1, name: 0.5}]})
        assert made["results"] == [{"index": 1, "relevance_score": 0.5, "document": {"text": "b"}}]
        assert facts.usage is None


def test_a_model_whose_body_nobody_knows_is_not_found() -> None:
    for protocol, operation in ((BedrockEmbeddings(), EMBEDDINGS), (BedrockRerank(), RERANK)):
        asked = attempt(operation, {"input": "a", "query": "q", "documents": ["a"]}, provider_model_id="of.tomorrow")
        with pytest.raises(ProviderFailedError) as caught:
            protocol.prepare(asked, "")
        assert caught.value.failure.failure_class is FailureClass.NOT_FOUND
    with pytest.raises(ProviderFailedError):
        received(
            BedrockRerank(),
            attempt(RERANK, {"query": "q", "documents": ["a"]}, provider_model_id="amazon.rerank-v1:0"),
            {"results": 7},
        )


def test_who_calls_and_what_failed_is_as_in_converse() -> None:
    assert BedrockEmbeddings().headers("key")["Authorization"] == "Bearer key"
    assert "Authorization" not in BedrockRerank().headers('{"access_key_id":"a"}')
    failure = BedrockEmbeddings().failure(429, {"x-amzn-errortype": "ThrottlingException"}, b'{"message":"x"}', 0)
    assert failure.failure_class is FailureClass.RATE_LIMITED

"""Rerank in the format that Jina, Voyage and OpenAI-compatible hosts share."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.openai_rerank.protocol import OpenAiRerank
from services.provider_adapter.protocols.port import Attempt, Usage
from services.provider_adapter.protocols.ranking import read_rerank
from tests.unit.provider_adapter.operation_bodies import attempt, received, sent

WIRE = OpenAiRerank()
DOCUMENTS = ["one", {"text": "two"}, {"image": "data:x", "text": "three"}]


def asked(**fields: Any) -> Attempt:
    return attempt("rerank", {"query": "which?", "documents": DOCUMENTS, **fields})


def scored(*scores: tuple[Any, Any], name: str = "relevance_score") -> list[dict[str, Any]]:
    return [{"index": index, name: score} for index, score in scores]


def test_request_holds_what_the_hosts_share() -> None:
    body = sent(WIRE, asked(top_n=2, provider={"only": ["jina"]}, user="me"))
    assert body == {
        "model": "native-model",
        "query": "which?",
        "documents": ["one", "two", {"image": "data:x", "text": "three"}],
        "top_n": 2,
        "return_documents": False,
    }
    assert sent(WIRE, asked(top_n=2), "voyage")["top_k"] == 2
    assert "top_n" not in sent(WIRE, asked())


def test_reply_is_ours_with_the_callers_documents_and_the_best_first() -> None:
    body = {"id": "up", "results": scored((0, 0.1), (2, 0.9), (1, 0.5)), "usage": {"total_tokens": 30}}
    value, facts = received(WIRE, asked(), body)
    assert value == {
        "id": "gen-1-a",
        "model": "maker/model",
        "provider": "P",
        "results": [
            {"index": 2, "relevance_score": 0.9, "document": {"image": "data:x", "text": "three"}},
            {"index": 1, "relevance_score": 0.5, "document": {"text": "two"}},
            {"index": 0, "relevance_score": 0.1, "document": {"text": "one"}},
        ],
    }
    assert facts.usage == Usage(30, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"data": scored((1, 2))},
        {"results": scored((1, 2), name="score")},
        {"rankings": scored((1, 2), name="logit")},
        {"object": "list", "data": scored((1, 2)), "results": None},
    ],
)
def test_results_are_found_under_each_hosts_name(body: dict[str, Any]) -> None:
    value, _ = received(WIRE, asked(), body)
    assert [(one["index"], one["relevance_score"]) for one in value["results"]] == [(1, 2)]


@given(st.permutations(range(3)), st.integers(1, 5))
def test_no_more_results_than_wanted_even_where_the_host_gives_all(order: list[int], top_n: int) -> None:
    value, _ = received(WIRE, asked(top_n=top_n), {"results": scored(*((index, -index) for index in order))})
    assert [one["index"] for one in value["results"]] == [0, 1, 2][:top_n]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"usage": {"total_tokens": 9}}, Usage(9, 0)),
        ({"usage": {"prompt_tokens": 4, "total_tokens": 9}}, Usage(9, 0)),
        ({"usage": {"prompt_tokens": 4}}, Usage(4, 0)),
        ({"meta": {"billed_units": {"search_units": 2}}}, Usage(0, 0, search_units=2)),
        ({"meta": {"billed_units": {"search_units": 2.0}}}, Usage(0, 0, search_units=2)),
        ({"meta": {"billed_units": {"input_tokens": 5, "search_units": 0}}}, Usage(5, 0)),
        ({"meta": {"tokens": {"input_tokens": 5}}, "usage": None}, Usage(5, 0)),
        ({"usage": {"total_tokens": 9}, "meta": {"billed_units": {"search_units": 1}}}, Usage(9, 0, search_units=1)),
        ({"meta": {"billed_units": {"search_units": -1}}}, None),
        ({"meta": {"billed_units": {"search_units": True}}}, None),
        ({"meta": 5, "usage": 5}, None),
        ({}, None),
    ],
)
def test_tokens_and_searches_are_what_the_host_says(told: dict[str, Any], expected: Usage | None) -> None:
    assert received(WIRE, asked(), {"results": scored((0, 1)), **told})[1].usage == expected


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"[]", {}, {"results": 5}, {"results": [5]}, {"results": scored((3, 1))}, {"results": scored((-1, 1))},
        {"results": scored((0, 1), (0, 2))}, {"results": scored((0, "high"))}, {"results": scored((True, 1))},
        {"results": [{"index": 0}]}, {"error": "no"},
    ],
)  # fmt: skip
def test_reply_that_ranks_nothing_of_ours_is_the_providers_failure(broken: Any) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        received(WIRE, asked(), broken)
    assert caught.value.failure.failure_class is FailureClass.UPSTREAM


def test_rerank_does_not_stream() -> None:
    one = attempt("rerank", {"query": "q", "documents": ["a"]}, stream=True)
    with pytest.raises(ProviderFailedError):
        WIRE.decoder(one, WIRE.prepare(one, ""))


def test_format_that_takes_text_alone_says_so_of_images() -> None:
    with pytest.raises(ProviderFailedError) as caught:
        read_rerank(asked()).texts()
    assert caught.value.failure.elsewhere
    assert read_rerank(asked(documents=["a", {"text": "b"}])).texts() == ["a", "b"]

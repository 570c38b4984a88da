from typing import Any

import orjson
import pytest

from services.provider_adapter.protocols.bedrock_converse.protocol import BedrockConverse
from services.provider_adapter.protocols.failures import ProviderFailedError
from services.provider_adapter.protocols.port import media_needs_of
from tests.unit.provider_adapter.bedrock_bodies import (
    LLAMA,
    MARK,
    MISTRAL,
    NOVA,
    PDF,
    PNG,
    POINT,
    QWEN,
    TITAN,
    TOOL,
    WRITER,
    calling,
    file,
    image,
    messages,
    prepared,
    result,
    sent,
    text,
    user,
)


def test_system_words_stand_apart_and_later_ones_are_the_users() -> None:
    body = sent(
        messages=[
            {"role": "system", "content": "One."},
            {"role": "developer", "content": [text("Two.")]},
            user("A"),
            {"role": "system", "content": "Three."},
        ]
    )

    assert body["system"] == [{"text": "One."}, {"text": "Two."}]
    assert body["messages"] == [{"role": "user", "content": [{"text": "A"}, {"text": "Three."}]}]


def test_a_model_without_a_system_hears_it_from_the_user() -> None:
    body = sent(TITAN, messages=[{"role": "system", "content": "One."}, user("A")])

    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [{"text": "One."}, {"text": "A"}]}]


def test_turns_alternate_begin_with_the_user_and_hold_nothing_blank() -> None:
    assert messages({"role": "assistant", "content": "I "}, user("A"), user(" "), user("B")) == [
        {"role": "user", "content": [{"text": "."}]},
        {"role": "assistant", "content": [{"text": "I "}]},
        {"role": "user", "content": [{"text": "A"}, {"text": "B"}]},
    ]
    assert messages(user("A"), {"role": "assistant", "content": "It is \n"})[-1]["content"] == [{"text": "It is"}]
    assert messages({"role": "system", "content": "Alone."}) == [{"role": "user", "content": [{"text": "Alone."}]}]


def test_all_results_of_a_turn_are_in_one_message_before_other_words() -> None:
    turns = messages(user("go"), calling("c1", "c.2:x"), user("and?"), result("c.2:x"), result("c1"), tools=[TOOL])

    assert [next(iter(block)) for block in turns[1]["content"]] == ["toolUse", "toolUse"]
    first, second = (block["toolUse"] for block in turns[1]["content"])
    assert first == {"toolUseId": "c1", "name": "look", "input": {"a": 1}}
    assert [block.get("toolResult", {}).get("toolUseId") for block in turns[2]["content"]] == [
        second["toolUseId"],
        "c1",
        None,
    ]
    assert turns[2]["content"][2] == {"text": "and?"}


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    turns = messages(user("go"), calling("c1"), user("well?"), tools=[TOOL])

    assert turns[2]["content"][0]["toolResult"]["status"] == "error"
    assert "status" not in messages(user("go"), calling("c1"), model=WRITER)[2]["content"][0]["toolResult"]


def test_an_empty_result_says_something() -> None:
    [block] = messages(user("go"), calling("c1"), result("c1", ""))[2]["content"]

    assert block["toolResult"]["content"][0]["text"].strip()


def test_media_in_results_stays_there_only_where_the_model_takes_it() -> None:
    listed = [user("go"), calling("c1"), result("c1", [text("see"), image(PNG)])]

    assert [next(iter(b)) for b in messages(*listed)[2]["content"][0]["toolResult"]["content"]] == ["text", "image"]
    left = messages(*listed, model=QWEN)[2]["content"]
    assert left[0]["toolResult"]["content"] == [{"text": "see"}]
    assert "image" in left[1]


def test_images_documents_sound_and_video_are_bytes_with_a_format() -> None:
    [turn] = messages(
        user(
            image(PNG),
            image("data:image/jpg;base64,/9j/"),
            file("Q3 report (final).v2.pdf", PDF),
            file("Q3 report (final).v2.pdf", PDF),
            file("table.csv", "data:text/csv;base64,YQ=="),
            file("_é_.md", "data:text/markdown;base64,YQ=="),
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        )
    )
    blocks = turn["content"]

    assert blocks[0] == {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
    assert blocks[1]["image"]["format"] == "jpeg"
    documents = [block["document"] for block in blocks if "document" in block]
    assert [(one["format"], one["name"]) for one in documents] == [
        ("pdf", "Q3 report (final) v2"),
        ("pdf", "Q3 report (final) v2 (2)"),
        ("csv", "table"),
        ("md", "document"),
    ]
    assert blocks[6]["audio"] == {"format": "wav", "source": {"bytes": "UklGRg=="}}
    assert blocks[7]["video"]["format"] == "mp4"
    assert "text" in blocks[8]  # a document wants words beside it


@pytest.mark.parametrize(
    "part",
    [
        image("https://images.test/a.png"),
        image("s3://bucket/a.png"),
        image("data:image/tiff;base64,AAAA"),
        file("a.bin", "data:application/zip;base64,AAAA"),
        {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "midi"}},
    ],
)
def test_what_has_no_form_is_refused_and_may_be_tried_elsewhere(part: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        prepared(messages=[user(text("look"), part)])

    assert caught.value.failure.to_error().metadata["retryable_elsewhere"] == "true"


def test_addresses_are_to_be_fetched_before() -> None:
    needs = media_needs_of(BedrockConverse())

    assert needs.kinds >= {"image_url", "file", "input_audio", "video_url"}
    assert needs.passed_on == ()


def test_parameters_are_clamped_and_what_has_no_form_is_left_out() -> None:
    body = sent(
        NOVA, temperature=1.7, top_p=0.5, max_tokens=9, stop=["a", " ", "b"], seed=1, n=2, logprobs=True, logit_bias={},
        presence_penalty=1, user="alice", top_k=900, provider={"order": []},
    )  # fmt: skip

    assert body == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"temperature": 1, "topP": 0.5, "maxTokens": 9, "stopSequences": ["a", "b"]},
        "additionalModelRequestFields": {"inferenceConfig": {"topK": 128}},
    }


def test_signed_thoughts_go_back_first_and_as_they_came() -> None:
    details = [
        {"type": "reasoning.text", "text": "Let ", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "me", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "cmVk", "format": "amazon-bedrock-v1", "index": 1},
        {"type": "reasoning.encrypted", "data": "other", "format": "google-gemini-v1", "index": 2},
        {"type": "reasoning.encrypted", "data": "other", "format": "anthropic-claude-v1", "index": 3},
    ]
    listed = [user("go"), calling("c1", reasoning_details=details, content="Well."), result("c1")]

    assert messages(*listed, tools=[TOOL])[1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Let me", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"text": "Well."},
        {"toolUse": {"toolUseId": "c1", "name": "look", "input": {"a": 1}}},
    ]
    assert [next(iter(b)) for b in messages(*listed, model=NOVA)[1]["content"]] == [
        "reasoningContent",
        "text",
        "toolUse",
    ]


def test_cache_marks_become_points_after_what_they_cover() -> None:
    body = sent(
        tools=[{**TOOL, "cache_control": MARK}],
        messages=[
            {"role": "system", "content": [text("S", cache_control={**MARK, "ttl": "1h"})]},
            user(text("A", cache_control=MARK), text("B")),
            calling("c1"),
            result("c1", [text("R", cache_control=MARK)]),
        ],
    )

    assert body["toolConfig"]["tools"][1] == POINT
    assert body["system"] == [{"text": "S"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["messages"][0]["content"] == [{"text": "A"}, POINT, {"text": "B"}]
    assert body["messages"][2]["content"][1] == POINT
    assert body["messages"][2]["content"][0]["toolResult"]["content"] == [{"text": "R"}]


def test_there_are_at_most_four_cache_points_and_the_last_ones_stay() -> None:
    parts = [text(str(number), cache_control=MARK) for number in range(6)]
    [turn] = messages(user(*parts), cache_control=MARK)

    assert [block.get("text") for block in turn["content"]] == ["0", "1", "2", None, "3", None, "4", None, "5", None]


@pytest.mark.parametrize("model", [LLAMA, QWEN, "anthropic.claude-3-haiku-20240307-v1:0"])
def test_models_without_a_cache_get_no_points(model: str) -> None:
    body = sent(
        model,
        messages=[user(text("A", cache_control=MARK))],
        cache_control=MARK,
        tools=[{**TOOL, "cache_control": MARK}],
    )

    assert b"cachePoint" not in orjson.dumps(body)


def test_nova_caches_no_tools_and_knows_no_times() -> None:
    body = sent(NOVA, tools=[{**TOOL, "cache_control": MARK}], cache_control={**MARK, "ttl": "1h"})

    assert len(body["toolConfig"]["tools"]) == 1
    assert body["messages"][0]["content"][-1] == POINT


def test_thoughts_alone_are_no_message() -> None:
    thought = {"type": "reasoning.text", "text": "Hm", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}

    turns = messages(user("go"), {"role": "assistant", "content": "", "reasoning_details": [thought]}, user("well?"))

    assert turns == [{"role": "user", "content": [{"text": "go"}, {"text": "well?"}]}]


def test_what_may_not_stand_beside_results_comes_after_a_word_of_the_model() -> None:
    listed = [user("go"), calling("c1"), result("c1"), user(text("and this?"), file("a.pdf", PDF))]

    apart = messages(*listed, tools=[TOOL])
    assert [turn["role"] for turn in apart] == ["user", "assistant", "user", "assistant", "user"]
    assert [next(iter(block)) for block in apart[2]["content"]] == ["toolResult"]
    assert [next(iter(block)) for block in apart[4]["content"]] == ["text", "document"]
    for model, count in ((LLAMA, 5), (MISTRAL, 5), (WRITER, 5), (NOVA, 3)):
        assert len(messages(*listed[:3], user("and?"), model=model)) == count
    assert len(messages(*listed[:3], user(text("and?"), image(PNG)))) == 3


def test_documents_stay_in_results_where_the_model_takes_them() -> None:
    listed = [user("go"), calling("c1"), result("c1", [text("see"), file("a.pdf", PDF)])]

    assert "document" in messages(*listed)[2]["content"][0]["toolResult"]["content"][1]
    assert "document" in messages(*listed, model=MISTRAL)[2]["content"][0]["toolResult"]["content"][1]
    assert "document" in messages(*listed, model=NOVA)[2]["content"][1]


def test_a_cache_point_stands_before_documents_at_the_end() -> None:
    [turn] = messages(user(text("A"), file("a.pdf", PDF), {**file("b.pdf", PDF), "cache_control": MARK}))
    [alone] = messages(user({**file("a.pdf", PDF), "cache_control": MARK}))

    assert [next(iter(block)) for block in turn["content"]] == ["text", "cachePoint", "document", "document"]
    assert [next(iter(block)) for block in alone["content"]] == ["document", "text"]

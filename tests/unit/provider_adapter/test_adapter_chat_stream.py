import itertools
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.provider_adapter.protocols.failures import FailureClass
from services.provider_adapter.protocols.openai_chat.stream import ChatStreamDecoder
from services.provider_adapter.protocols.port import Attempt, Prepared, Usage

ATTEMPT = Attempt("gen-1-a", "Some Provider", "native-model", "maker/model", 1_700_000_000, stream=True, body=b"{}")
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(*choices: Any, **fields: Any) -> bytes:
    chunk = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "native", "choices": choices}
    return b"data: " + orjson.dumps({**chunk, **fields}) + b"\n\n"


def choice(delta: dict[str, Any], finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish, **fields}


def text(content: str) -> bytes:
    return event(choice({"content": content}))


def finish(reason: str = "stop") -> bytes:
    return event(choice({}, reason))


ROLE = event(choice({"role": "assistant", "content": ""}))
TWO_WORDS = ROLE + text("Hel") + text("lo ✓") + finish() + event(usage=USAGE) + DONE


class Decoded:
    def __init__(self, pieces: Sequence[bytes], *, hide_reasoning: bool = False) -> None:
        decoder = ChatStreamDecoder(ATTEMPT, Prepared("", b"", hide_reasoning))
        self.given = [decoder.feed(piece) for piece in pieces]
        self.given.append(decoder.finish())
        self.bytes = b"".join(self.given)
        self.facts = decoder.facts
        self.failure = decoder.failure
        self.begun = decoder.begun

    @property
    def chunks(self) -> list[dict[str, Any]]:
        parts = self.bytes.split(b"\n\n")
        assert parts.pop() == b""
        assert all(part.startswith(b"data: ") for part in parts)
        return [orjson.loads(part[6:]) for part in parts]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [c["delta"] for chunk in self.chunks for c in chunk["choices"]]

    @property
    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas)


def test_a_plain_stream_becomes_chunks_in_our_name() -> None:
    decoded = Decoded([TWO_WORDS])

    assert decoded.failure is None
    assert decoded.text == "Hello ✓"
    for chunk in decoded.chunks:
        assert list(chunk) == ["id", "object", "created", "model", "provider", "choices"]
        assert chunk["id"] == "gen-1-a"
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["created"] == 1_700_000_000
        assert chunk["model"] == "maker/model"
        assert chunk["provider"] == "Some Provider"
        assert [list(c) for c in chunk["choices"]] == [
            ["index", "delta", "finish_reason", "native_finish_reason", "logprobs"]
        ]
    assert decoded.deltas == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo ✓"},
        {},
    ]
    assert [c["choices"][0]["finish_reason"] for c in decoded.chunks] == [None, None, None, "stop"]
    assert decoded.facts.usage == Usage(3, 2)
    assert (decoded.facts.finish_reason, decoded.facts.native_finish_reason) == ("stop", "stop")
    assert decoded.facts.upstream_id == "up-1"
    assert decoded.facts.has_content


def test_every_split_of_the_bytes_gives_the_same_chunks_and_facts() -> None:
    whole = Decoded([TWO_WORDS])
    for place in range(len(TWO_WORDS) + 1):
        decoded = Decoded([TWO_WORDS[:place], TWO_WORDS[place:]])
        assert decoded.bytes == whole.bytes
        assert decoded.facts.usage == whole.facts.usage
        assert decoded.failure is None


def test_bytes_one_by_one_give_the_same_chunks() -> None:
    assert Decoded([TWO_WORDS[i : i + 1] for i in range(len(TWO_WORDS))]).bytes == Decoded([TWO_WORDS]).bytes


@given(
    words=st.lists(st.text(min_size=1), min_size=1, max_size=8),
    places=st.lists(st.integers(0, 3000), max_size=8),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_any_text_arrives_whole_however_it_is_split(words: list[str], places: list[int], line_end: bytes) -> None:
    wire = (ROLE + b": ping\n\n" + b"".join(map(text, words)) + finish() + DONE).replace(b"\n", line_end)
    edges = [0, *sorted(min(p, len(wire)) for p in places), len(wire)]

    decoded = Decoded([wire[a:b] for a, b in itertools.pairwise(edges)])

    assert decoded.failure is None
    assert decoded.text == "".join(words)


def test_nothing_is_given_out_before_the_first_content() -> None:
    decoded = Decoded([b": queued\n\n", ROLE, event(choice({})), text("now"), finish() + DONE])

    assert decoded.given[:3] == [b"", b"", b""]
    assert decoded.given[3].count(b"data: ") == 3
    assert decoded.deltas[0]["role"] == "assistant"


def test_events_that_arrive_together_leave_together() -> None:
    decoded = Decoded([ROLE + text("a") + text("b") + text("c"), finish() + DONE])

    assert decoded.given[0].count(b"data: ") == 4
    assert decoded.given[1].count(b"data: ") == 1


def test_a_role_that_is_repeated_is_sent_once() -> None:
    decoded = Decoded([event(choice({"role": "assistant", "content": c})) for c in "abc"] + [finish(), DONE])

    assert [delta.get("role") for delta in decoded.deltas] == ["assistant", None, None, None]


def test_a_first_delta_without_role_gets_one() -> None:
    assert Decoded([text("a"), finish(), DONE]).deltas[0] == {"role": "assistant", "content": "a"}


def test_an_empty_reply_gives_role_and_finish_at_the_end() -> None:
    decoded = Decoded([ROLE, finish(), event(usage={**USAGE, "completion_tokens": 0}), DONE])

    assert decoded.failure is None
    assert [c["choices"][0]["finish_reason"] for c in decoded.chunks] == [None, "stop"]
    assert not decoded.begun
    assert not decoded.facts.has_content
    assert decoded.facts.usage == Usage(3, 0)


def test_a_reply_with_a_terminator_alone_is_empty_and_complete() -> None:
    decoded = Decoded([DONE])

    assert (decoded.failure, decoded.bytes, decoded.facts.finish_reason) == (None, b"", "")


def test_thousands_of_empty_deltas_are_not_kept() -> None:
    decoded = Decoded([event(choice({"content": ""})) for _ in range(5000)] + [text("x"), finish(), DONE])

    assert len(decoded.chunks) < 300
    assert decoded.deltas[0]["role"] == "assistant"
    assert decoded.text == "x"


@pytest.mark.parametrize("line", [b": ping\n\n", b"data: \n\n", b"data:\n\n", b"event: ping\ndata: {}\n\n"])
def test_events_without_meaning_are_skipped(line: bytes) -> None:
    assert Decoded([ROLE + line + text("a") + line + finish() + line + DONE]).text == "a"


def test_a_stream_that_ends_without_finish_and_terminator_is_cut() -> None:
    decoded = Decoded([ROLE + text("a")])

    assert decoded.text == "a"
    assert decoded.failure is not None
    assert decoded.failure.failure_class is FailureClass.UPSTREAM


@pytest.mark.parametrize("wire", [b"", b": ping\n\n", ROLE, b'data: {"choices":[{"ind'])
def test_a_stream_that_ends_before_any_content_is_cut_and_gives_nothing(wire: bytes) -> None:
    decoded = Decoded([wire])

    assert decoded.bytes == b""
    assert decoded.failure is not None


def test_a_stream_that_ends_after_the_finish_is_complete() -> None:
    decoded = Decoded([ROLE + text("a") + finish() + b'data: {"usage":{"prompt_to'])

    assert decoded.failure is None
    assert decoded.facts.usage is None


def test_a_last_event_without_blank_line_counts() -> None:
    assert Decoded([ROLE + text("a") + finish().rstrip(b"\n")]).failure is None


def test_a_terminator_without_finish_is_complete() -> None:
    decoded = Decoded([text("a") + DONE])

    assert (decoded.failure, decoded.facts.finish_reason) == (None, "")


def test_what_follows_the_terminator_is_not_read() -> None:
    decoded = Decoded([text("a") + finish() + DONE + text("b"), text("c")])

    assert (decoded.failure, decoded.text) == (None, "a")


def test_the_last_usage_wins_and_is_never_summed() -> None:
    first = {"prompt_tokens": 3, "completion_tokens": 1}
    wire = event(choice({"content": "a"}), usage=first) + event(choice({"content": "b"}), usage=USAGE) + finish()

    assert Decoded([wire, event(usage={"prompt_tokens": -1, "completion_tokens": 5}), DONE]).facts.usage == Usage(3, 2)


@pytest.mark.parametrize(
    "wire",
    [
        event(choice({}, "stop"), usage=USAGE),
        event(choice({}, "stop", usage=USAGE)),
        event(choice({}, "stop"), x_groq={"id": "req", "usage": USAGE}),
        finish() + event(choice({"role": "assistant", "content": ""}), usage=USAGE),
        finish() + event(choice({"content": ""}, "stop"), usage=USAGE),
        finish() + b"data: " + orjson.dumps({"usage": USAGE}) + b"\n\n",
    ],
)
def test_usage_is_found_where_hosts_put_it_and_the_finish_is_sent_once(wire: bytes) -> None:
    decoded = Decoded([ROLE, text("a"), wire, DONE])

    assert decoded.facts.usage == Usage(3, 2)
    assert [c["choices"][0]["finish_reason"] for c in decoded.chunks] == [None, None, "stop"]
    assert b"usage" not in decoded.bytes


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_has_one_name_and_details(field: str) -> None:
    decoded = Decoded([event(choice({field: "hm", "content": None})), text("a"), finish(), DONE])

    assert decoded.deltas[0]["reasoning"] == "hm"
    assert decoded.deltas[0]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "format": "unknown", "index": 0}
    ]
    assert "reasoning_content" not in decoded.deltas[0]


def test_details_of_a_host_that_has_them_stay_as_they_are() -> None:
    details = [{"type": "reasoning.encrypted", "data": "xyz", "id": "r", "format": "openai-responses-v1", "index": 0}]
    decoded = Decoded([event(choice({"reasoning": "hm", "reasoning_details": details})), finish(), DONE])

    assert decoded.deltas[0]["reasoning_details"] == details


def test_hidden_reasoning_is_not_shown_but_counts_as_produced() -> None:
    wire = [event(choice({"role": "assistant", "reasoning_content": "secret"})), text("a"), finish(), DONE]
    decoded = Decoded(wire, hide_reasoning=True)

    assert b"secret" not in decoded.bytes
    assert decoded.given[0] == b""
    assert decoded.deltas[0] == {"role": "assistant", "content": "a"}
    assert Decoded([*wire[:1], finish("length"), DONE], hide_reasoning=True).facts.has_content


def test_calls_keep_their_slots_and_turn_stop_into_tool_calls() -> None:
    begin = {"index": 1, "id": "call_9", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 1, "function": {"arguments": '{"a":1}'}}
    decoded = Decoded(
        [ROLE, event(choice({"tool_calls": [begin]})), event(choice({"tool_calls": [more]})), finish("stop"), DONE]
    )

    assert [d["tool_calls"] for d in decoded.deltas if "tool_calls" in d] == [[begin], [more]]
    assert (decoded.facts.finish_reason, decoded.facts.native_finish_reason) == ("tool_calls", "stop")
    assert decoded.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_empty_calls_are_no_calls() -> None:
    decoded = Decoded([event(choice({"content": "a", "tool_calls": []})), finish(), DONE])

    assert (decoded.facts.finish_reason, decoded.deltas[0]) == ("stop", {"role": "assistant", "content": "a"})


def test_choices_that_interleave_get_a_role_and_a_finish_each() -> None:
    wire = [
        event(choice({"content": "a"}), choice({"content": "b"}, index=1)),
        event(choice({"content": "B"}, index=1)),
        event(choice({}, "length", index=1)),
        event(choice({}, "stop")),
        DONE,
    ]
    decoded = Decoded(wire)

    first, second = decoded.chunks[0]["choices"]
    assert (first["delta"], second["delta"]) == (
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
    )
    assert decoded.chunks[1]["choices"][0] == {
        "index": 1,
        "delta": {"content": "B"},
        "finish_reason": None,
        "native_finish_reason": None,
        "logprobs": None,
    }
    assert decoded.facts.finish_reason == "stop"


def test_unknown_delta_fields_and_logprobs_are_kept() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5}]}
    decoded = Decoded([ROLE, event(choice({"content": "a", "token_id": 7}, logprobs=logprobs)), finish(), DONE])

    assert decoded.deltas[1] == {"content": "a", "token_id": 7}
    assert decoded.chunks[1]["choices"][0]["logprobs"] == logprobs


def test_fingerprint_and_tier_are_passed_on() -> None:
    decoded = Decoded([event(choice({"content": "a"}), system_fingerprint="fp_1", service_tier="flex"), finish(), DONE])

    assert decoded.chunks[0]["system_fingerprint"] == "fp_1"
    assert decoded.chunks[0]["service_tier"] == "flex"
    assert (decoded.facts.system_fingerprint, decoded.facts.service_tier) == ("fp_1", "flex")


def test_content_as_a_list_of_parts_becomes_text_and_reasoning() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]
    decoded = Decoded([event(choice({"content": parts})), finish(), DONE])

    assert (decoded.deltas[0]["content"], decoded.deltas[0]["reasoning"]) == ("a", "hm")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b'data: {"error":{"message":"boom","code":500}}\n\n', "boom"),
        (b'data: {"error":"boom"}\n\n', "boom"),
        (b'event: error\ndata: {"message":"boom"}\n\n', "boom"),
        (b"event: error\ndata: boom\n\n", "boom"),
        (b'data: {"object":"error","message":"boom"}\n\n', "boom"),
        (event(choice({"content": ""}, "error", error={"message": "boom", "code": 502})), "boom"),
        (b'data: {"choices":[],"base_resp":{"status_code":1000,"status_msg":"boom"}}\n\n', "boom"),
        (b"data: {oops\n\n", "invalid JSON"),
        (b"data: <html>\n\n", "invalid JSON"),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "invalid JSON"),
        (b"data: [1]\n\n", "not a JSON object"),
        (b'data: {"choices":[7]}\n\n', "no object"),
    ],
)
def test_an_error_among_the_events_fails_after_what_came_before(broken: bytes, words: str) -> None:
    after = Decoded([ROLE + text("a") + broken + text("b")])
    before = Decoded([ROLE + broken + text("b") + DONE])

    assert after.text == "a"
    assert before.bytes == b""
    for decoded in (after, before):
        assert decoded.failure is not None
        assert decoded.failure.failure_class is FailureClass.UPSTREAM
        assert words in decoded.failure.message


def test_too_many_choices_fail() -> None:
    assert Decoded([event(*(choice({"content": "a"}, index=i) for i in range(200)))]).failure is not None


def test_an_event_beyond_the_bound_fails() -> None:
    decoded = Decoded([ROLE, text("a"), *([b"data: " + b"x" * 65536] * 130)])

    assert decoded.text == "a"
    assert decoded.failure is not None


@given(st.binary(max_size=400))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    Decoded([TWO_WORDS[:200], data])
    Decoded([b"data: " + data + b"\n\n"])


def test_a_finish_that_is_an_error_says_so_in_its_chunk() -> None:
    decoded = Decoded([ROLE + text("Half a") + finish("network_error") + event(usage=USAGE) + DONE])
    last = orjson.loads(decoded.bytes.split(b"data: ")[-1])["choices"][0]

    assert decoded.failure is None
    assert (last["finish_reason"], last["native_finish_reason"]) == ("error", "network_error")
    assert last["error"]["code"] == 502
    assert last["error"]["metadata"]["provider_code"] == "network_error"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["choices", "delta", "index", "finish_reason", "usage", "error", "tool_calls", "content", "function"]), x), max_leaves=20))  # fmt: skip
def test_arbitrary_json_never_raises(value: Any) -> None:
    Decoded([b"data: " + orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str) + b"\n\n"] if _fits(value) else [])  # fmt: skip


def _fits(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True

"""What every provider format does, whatever its bytes; subclass with a fixture `wire`.

Pure: the decoder gets bytes and gives chunks. What needs a provider's answer to our requests is in
tests/integration/provider_adapter/test_adapter_native_formats.py.
"""

import itertools
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, SettlesLater
from services.provider_adapter.tool_calls.judge import ReplyJudge, Verdict
from services.provider_adapter.tool_calls.schemas import Schemas
from tests.testkit.provider_wires import SERVER_SENT_EVENTS, Call, Reply, ServerSentEvents, Wire

WORDS = Reply(words=("Hel", "lo ✓", " \U0001f600"))
CALLS = Reply(calls=(Call("look_up", {"city": "Zürich ✓", "n": 3}), Call("tell", {})), end="tool_calls")
THOUGHT = Reply(thoughts=("Let ", "me see"), words=("Yes", "."))
EVERYTHING = Reply(thoughts=("Hm", "…"), words=("I ", "look"), calls=CALLS.calls, end="tool_calls")
REPLIES = [WORDS, CALLS, THOUGHT, EVERYTHING]


def attempt(wire: Wire, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "generation_id": "gen-1700000000-abcdefghij",
        "provider_name": "Some Provider",
        "provider_model_id": wire.model,
        "model": "maker/model",
        "created_s": 1_700_000_000,
        "stream": True,
        "body": orjson.dumps({"model": "maker/model", "messages": [{"role": "user", "content": "hi"}]}),
    }
    return Attempt(**{**fields, **changes})


class Decoded:
    """Everything that a stream in these pieces gives."""

    def __init__(self, wire: Wire, *received: bytes, hide_reasoning: bool = False) -> None:
        asked = getattr(wire, "asked", None)
        decoder = wire.protocol.decoder(attempt(wire), Prepared("", b"", hide_reasoning, asked=asked))
        self.given = [decoder.feed(piece) for piece in received]
        if isinstance(decoder, SettlesLater) and decoder.ended and decoder.failure is None:
            assert decoder.settle(getattr(wire, "later", b""))
        self.given.append(decoder.finish())
        self.bytes = b"".join(self.given)
        self.facts: ReplyFacts = decoder.facts
        self.failure: Failure | None = decoder.failure

    @property
    def chunks(self) -> list[dict[str, Any]]:
        frames = self.bytes.split(b"\n\n")
        assert frames.pop() == b""
        assert all(frame.startswith(b"data: ") for frame in frames)
        return [orjson.loads(frame[6:]) for frame in frames]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]

    def joined(self, name: str) -> str:
        return "".join(delta.get(name) or "" for delta in self.deltas)

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls: dict[int, dict[str, Any]] = {}
        for piece in (piece for delta in self.deltas for piece in delta.get("tool_calls", ())):
            if "id" in piece:
                assert piece["type"] == "function"
                assert piece["index"] == len(calls)
                calls[piece["index"]] = {"id": piece["id"], "name": piece["function"]["name"], "arguments": ""}
            calls[piece["index"]]["arguments"] += piece["function"].get("arguments", "")
        return list(calls.values())

    @property
    def said(self) -> tuple[Any, ...]:
        facts = self.facts
        return (self.bytes, facts.usage, facts.finish_reason, facts.native_finish_reason, self.failure)


def framing_of(wire: Wire) -> ServerSentEvents:
    return getattr(wire, "framing", SERVER_SENT_EVENTS)


def carried_by(wire: Wire, reply: Reply) -> Reply:
    """What of a reply a format has a form for: a wire whose replies hold fewer calls says so as `most_calls`, one that shows
    no thoughts as `thinks`."""
    calls = reply.calls[: getattr(wire, "most_calls", len(reply.calls))]
    thoughts = reply.thoughts if getattr(wire, "thinks", True) else ()
    end = reply.end if calls or reply.end != "tool_calls" else "stop"
    return replace(reply, calls=calls, thoughts=thoughts, end=end)


def message_of(wire: Wire, reply: Reply, **prepared: Any) -> tuple[dict[str, Any], ReplyFacts]:
    told = {"asked": getattr(wire, "asked", None), **prepared}
    made, facts = wire.protocol.whole(attempt(wire), Prepared("", b"", **told), wire.whole(reply))
    choice = orjson.loads(made)["choices"][0]
    assert (choice["finish_reason"] or "", choice["native_finish_reason"] or "") == (
        facts.finish_reason,
        facts.native_finish_reason,
    )
    return choice["message"], facts


class ProviderConformance:
    def test_text_arrives_as_chunks_of_one_shape(self, wire: Wire) -> None:
        decoded = Decoded(wire, wire.stream(WORDS))

        assert decoded.failure is None
        assert decoded.joined("content") == "Hello ✓ \U0001f600"
        assert decoded.deltas[0]["role"] == "assistant"
        assert sum("role" in delta for delta in decoded.deltas) == 1
        assert decoded.deltas[-1] == {}
        for chunk in decoded.chunks:
            assert list(chunk)[:6] == ["id", "object", "created", "model", "provider", "choices"]
            assert (chunk["id"], chunk["model"], chunk["provider"]) == (
                "gen-1700000000-abcdefghij",
                "maker/model",
                "Some Provider",
            )
            assert [list(choice) for choice in chunk["choices"]] == [
                ["index", "delta", "finish_reason", "native_finish_reason", "logprobs"]
            ]
        assert decoded.facts.has_content
        assert decoded.facts.upstream_id == getattr(wire, "upstream_id", "up-1")

    @pytest.mark.parametrize("end", ["stop", "length", "content_filter"])
    def test_the_end_is_in_chats_word_beside_the_providers_own(self, wire: Wire, end: str) -> None:
        if end not in wire.native_ends:
            pytest.skip("The format does not say so.")
        decoded = Decoded(wire, wire.stream(Reply(words=("a",), end=end)))
        _, facts = message_of(wire, Reply(words=("a",), end=end))

        expected = (end, wire.native_ends[end])
        assert (decoded.facts.finish_reason, decoded.facts.native_finish_reason) == expected
        assert (facts.finish_reason, facts.native_finish_reason) == expected
        last = decoded.chunks[-1]["choices"][0]
        assert (last["finish_reason"], last["native_finish_reason"]) == expected
        assert all(chunk["choices"][0]["finish_reason"] is None for chunk in decoded.chunks[:-1])

    @pytest.mark.parametrize("reply", REPLIES)
    def test_the_bytes_cut_in_two_anywhere_give_the_same(self, wire: Wire, reply: Reply) -> None:
        raw = wire.stream(reply)
        whole = Decoded(wire, raw)
        for place in range(1, len(raw)):
            assert Decoded(wire, raw[:place], raw[place:]).said == whole.said

    @pytest.mark.parametrize("reply", REPLIES)
    def test_the_bytes_one_by_one_give_the_same(self, wire: Wire, reply: Reply) -> None:
        raw = wire.stream(reply)

        assert Decoded(wire, *(raw[i : i + 1] for i in range(len(raw)))).said == Decoded(wire, raw).said

    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], deadline=None
    )
    @given(
        words=st.lists(st.text(min_size=1), min_size=1, max_size=6),
        places=st.lists(st.integers(0, 4000), max_size=6),
        line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    )
    def test_any_text_arrives_whole_however_it_is_split(
        self, wire: Wire, words: list[str], places: list[int], line_end: bytes
    ) -> None:
        if getattr(wire, "is_plain", False):
            # Text outside of JSON has one kind of line end.
            words = [word.replace("\r", "\n") for word in words]
        raw = framing_of(wire).spelt(wire.stream(Reply(words=tuple(words))), line_end)
        edges = [0, *sorted(min(place, len(raw)) for place in places), len(raw)]

        decoded = Decoded(wire, *(raw[start:stop] for start, stop in itertools.pairwise(edges)))

        assert decoded.failure is None
        assert decoded.joined("content") == "".join(words)

    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], deadline=None
    )
    @given(rubbish=st.binary(max_size=300), place=st.integers(0, 2000))
    def test_rubbish_in_the_stream_never_raises(self, wire: Wire, rubbish: bytes, place: int) -> None:
        raw = wire.stream(EVERYTHING)
        Decoded(wire, raw[:place] + rubbish + raw[place:])

    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], deadline=None
    )
    @given(data=st.data())
    def test_events_with_any_value_changed_never_raise(self, wire: Wire, data: st.DataObject) -> None:
        values: st.SearchStrategy[Any] = (
            st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just([]) | st.just({})
        )
        framing = framing_of(wire)
        changed = []
        for frame in framing.frames(wire.stream(EVERYTHING)):
            value = framing.value(frame)
            if value is not None:
                _change(value, data.draw(st.integers(0, 8)), data.draw(values))
                changed.append(framing.with_value(frame, value))
        Decoded(wire, b"".join(changed))
        body = orjson.loads(wire.whole(EVERYTHING))
        _change(body, data.draw(st.integers(0, 20)), data.draw(values))
        with suppress(ProviderFailedError):
            wire.protocol.whole(attempt(wire), Prepared("", b""), orjson.dumps(body))

    @pytest.mark.parametrize("reply", REPLIES)
    def test_a_stream_cut_anywhere_is_cut_or_complete_and_says_nothing_else(self, wire: Wire, reply: Reply) -> None:
        raw = wire.stream(reply)
        whole = Decoded(wire, raw)
        for place in range(len(raw)):
            decoded = Decoded(wire, raw[:place])
            assert whole.bytes.startswith(decoded.bytes)
            if decoded.failure is None:
                assert decoded.facts.finish_reason == whole.facts.finish_reason
                assert decoded.bytes == whole.bytes
            else:
                assert decoded.failure.failure_class is FailureClass.UPSTREAM

    def test_nothing_is_given_out_before_the_first_content(self, wire: Wire) -> None:
        raw = wire.stream(WORDS)
        first = raw.index(b"Hel")

        decoded = Decoded(wire, raw[:first], raw[first:])

        assert decoded.given[0] == b""
        assert Decoded(wire, raw[:first]).bytes == b""

    def test_events_that_arrive_together_leave_together(self, wire: Wire) -> None:
        decoded = Decoded(wire, wire.stream(WORDS))

        # An end that waits for a later look at the reply is a message of its own.
        ends = int(hasattr(wire, "later"))
        assert b"".join(decoded.given) == decoded.bytes
        assert decoded.given[0].count(b"data: ") == len(decoded.chunks) - ends
        assert decoded.given[1].count(b"data: ") == ends

    def test_events_without_meaning_change_nothing(self, wire: Wire) -> None:
        raw, noise = wire.stream(EVERYTHING), wire.noise()
        noisy = b"".join(noise + frame for frame in framing_of(wire).frames(raw)) + noise

        assert Decoded(wire, noisy).said[:3] == Decoded(wire, raw).said[:3]

    def test_parallel_calls_have_slots_ids_and_whole_arguments(self, wire: Wire) -> None:
        reply = carried_by(wire, CALLS)
        if not reply.calls:
            pytest.skip("The format has no calls.")
        decoded = Decoded(wire, wire.stream(reply))

        assert [(call["name"], orjson.loads(call["arguments"])) for call in decoded.calls] == [
            ("look_up", {"city": "Zürich ✓", "n": 3}),
            ("tell", {}),
        ][: len(reply.calls)]
        assert len({call["id"] for call in decoded.calls}) == len(reply.calls)
        assert decoded.facts.finish_reason == "tool_calls"
        assert decoded.facts.native_finish_reason == wire.native_ends["tool_calls"]
        assert decoded.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"

    @pytest.mark.parametrize(("kind", "verdict"), [("integer", Verdict.VALID), ("string", Verdict.SCHEMA_MISMATCH)])
    def test_calls_are_judged_by_the_tools_that_were_sent(self, wire: Wire, kind: str, verdict: Verdict) -> None:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": kind}}}
        if not carried_by(wire, CALLS).calls:
            pytest.skip("The format has no calls.")
        functions = [{"name": "look_up", "parameters": parameters}, {"name": "tell", "parameters": {"type": "object"}}]
        tools = [{"type": "function", "function": function} for function in functions]
        body = {"messages": [{"role": "user", "content": "hi"}], "tools": tools}
        prepared = wire.protocol.prepare(attempt(wire, body=orjson.dumps(body)), "")
        streamed, whole = (ReplyJudge(prepared.tools, Schemas()) for _ in range(2))
        for sse in Decoded(wire, *framing_of(wire).frames(wire.stream(EVERYTHING))).given:
            streamed.feed(sse)
        whole.read(wire.protocol.whole(attempt(wire), prepared, wire.whole(EVERYTHING))[0])

        assert (streamed.verdict("tool_calls"), whole.verdict("tool_calls")) == (verdict, verdict)

    @pytest.mark.parametrize("reply", REPLIES)
    def test_a_whole_reply_says_what_its_stream_says(self, wire: Wire, reply: Reply) -> None:
        reply = carried_by(wire, reply)
        if reply == Reply():
            pytest.skip("The format carries nothing of it.")
        decoded = Decoded(wire, wire.stream(reply))
        message, facts = message_of(wire, reply)

        assert list(message)[:4] == ["role", "content", "refusal", "reasoning"]
        assert (message["content"] or "") == decoded.joined("content") == "".join(reply.words)
        assert (message["reasoning"] or "") == decoded.joined("reasoning") == "".join(reply.thoughts)
        assert [{"id": call["id"], **call["function"]} for call in message.get("tool_calls", ())] == [
            call | {"arguments": call["arguments"]} for call in decoded.calls
        ]
        assert (message["content"] is None) == (not reply.words)
        assert facts.usage == decoded.facts.usage
        assert facts.finish_reason == decoded.facts.finish_reason
        assert facts.has_content

    def test_reasoning_has_details_that_can_go_back(self, wire: Wire) -> None:
        if not getattr(wire, "thinks", True):
            pytest.skip("The format shows no thoughts.")
        decoded = Decoded(wire, wire.stream(EVERYTHING))
        details = [detail for delta in decoded.deltas for detail in delta.get("reasoning_details", ())]
        message, _ = message_of(wire, EVERYTHING)

        for shown in (details, message["reasoning_details"]):
            assert "".join(detail.get("text", "") or detail.get("summary", "") for detail in shown) == "Hm…"
        if wire.signs:
            assert "c2ln" in {value for detail in details for value in detail.values()}
            assert "c2ln" in {value for detail in message["reasoning_details"] for value in detail.values()}

    def test_hidden_reasoning_is_not_shown_but_counts_as_produced(self, wire: Wire) -> None:
        if not getattr(wire, "thinks", True):
            pytest.skip("The format shows no thoughts.")
        decoded = Decoded(wire, wire.stream(THOUGHT), hide_reasoning=True)
        message, facts = message_of(wire, THOUGHT, hide_reasoning=True)

        assert b"reasoning" not in decoded.bytes
        assert decoded.joined("content") == "Yes."
        assert message["reasoning"] is None
        assert "reasoning_details" not in message
        only = Reply(thoughts=("x",), end="length")
        assert Decoded(wire, wire.stream(only), hide_reasoning=True).facts.has_content
        assert facts.has_content

    @pytest.mark.parametrize("reply", REPLIES)
    def test_usage_is_made_of_classes_that_add_up(self, wire: Wire, reply: Reply) -> None:
        usage = Decoded(wire, wire.stream(reply)).facts.usage
        _, facts = message_of(wire, reply)

        assert usage == facts.usage == wire.usage
        assert usage is not None
        assert usage.cache_read_tokens + usage.cache_write_tokens <= usage.prompt_tokens
        assert usage.reasoning_tokens <= usage.completion_tokens

    def test_an_empty_reply_with_an_end_is_complete(self, wire: Wire) -> None:
        decoded = Decoded(wire, wire.stream(Reply()))
        message, facts = message_of(wire, Reply())

        assert decoded.failure is None
        assert not decoded.facts.has_content
        assert not facts.has_content
        assert decoded.facts.finish_reason == facts.finish_reason == "stop"
        assert not message["content"]
        assert decoded.deltas[0]["role"] == "assistant"

    def test_an_error_among_the_events_fails_after_what_came_before(self, wire: Wire) -> None:
        raw, error = wire.stream(WORDS), wire.error_event()
        frames = framing_of(wire).frames(raw)
        said = next(place for place, frame in enumerate(frames) if b"Hel" in frame) + 1
        place = len(b"".join(frames[:said]))

        after = Decoded(wire, raw[:place] + error + raw[place:])
        before = Decoded(wire, error + raw)

        assert after.joined("content") == "Hel"
        assert before.bytes == b""
        for decoded in (after, before):
            assert decoded.failure is not None
            assert (decoded.failure.failure_class, decoded.failure.message) == (FailureClass.UPSTREAM, "boom")

    @pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"{", b"[]", b"{}", b"null", b'"x"', b"\xff\xfe"])
    def test_a_body_that_is_no_reply_is_the_providers_failure(self, wire: Wire, body: bytes) -> None:
        with pytest.raises(ProviderFailedError) as caught:
            wire.protocol.whole(attempt(wire), Prepared("", b""), body)

        assert caught.value.failure.failure_class is FailureClass.UPSTREAM
        assert wire.protocol.failure(200, {}, body, 0).failure_class is FailureClass.UPSTREAM

    @pytest.mark.parametrize(
        ("status", "message", "expected"),
        [
            (400, "messages is too short", FailureClass.INVALID_REQUEST),
            (400, "prompt is too long: 3 tokens > 2 maximum", FailureClass.CONTEXT_LENGTH_EXCEEDED),
            (
                400,
                "The input token count (3) exceeds the maximum number of tokens",
                FailureClass.CONTEXT_LENGTH_EXCEEDED,
            ),
            (400, "Output blocked by content filtering policy", FailureClass.CONTENT_POLICY),
            (401, "invalid x-api-key", FailureClass.AUTHENTICATION),
            (402, "pay first", FailureClass.INSUFFICIENT_CREDITS),
            (403, "not yours", FailureClass.PERMISSION),
            (404, "no such model", FailureClass.NOT_FOUND),
            (408, "too slow", FailureClass.TIMEOUT),
            (413, "too large", FailureClass.REQUEST_TOO_LARGE),
            (422, "no", FailureClass.INVALID_REQUEST),
            (429, "slow down", FailureClass.RATE_LIMITED),
            (500, "oops", FailureClass.UPSTREAM),
            (502, "oops", FailureClass.UPSTREAM),
            (503, "full", FailureClass.OVERLOADED),
            (504, "late", FailureClass.TIMEOUT),
            (529, "full", FailureClass.OVERLOADED),
        ],
    )
    def test_every_status_has_its_class(self, wire: Wire, status: int, message: str, expected: FailureClass) -> None:
        failure = wire.protocol.failure(status, {}, wire.error(status, message), 0)

        assert (failure.failure_class, failure.status, failure.message) == (expected, status, message)
        told = failure.to_error().metadata["retryable_elsewhere"]
        refused = {FailureClass.INVALID_REQUEST, FailureClass.CONTENT_POLICY, FailureClass.REQUEST_TOO_LARGE}
        assert told == ("false" if expected in refused else "true")

    @pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]", b"[[]]", b'{"error":7}', b"\xff", b'{"error":{}}'])
    @pytest.mark.parametrize("status", [200, 400, 429, 500])
    def test_error_bodies_of_any_kind_give_a_failure(self, wire: Wire, status: int, body: bytes) -> None:
        assert wire.protocol.failure(status, {}, body, 0).status == status

    def test_retry_hints_are_read_where_they_mean_something(self, wire: Wire) -> None:
        headers = {"retry-after": "7"}

        assert wire.protocol.failure(429, headers, wire.error(429, "x"), 0).retry_after_s == 7
        assert wire.protocol.failure(400, headers, wire.error(400, "x"), 0).retry_after_s is None

    def test_what_steers_the_gateway_and_the_raw_user_stay_here(self, wire: Wire) -> None:
        extras = {"provider": {"order": ["x"]}, "models": ["a"], "user": "alice", "metadata": {"a": "b"}, "trace": {}}
        body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **extras})

        prepared = wire.protocol.prepare(attempt(wire, body=body, user_hash="h4sh"), "")

        sent = orjson.loads(prepared.body)
        assert not {"provider", "models", "user_id", "trace"} & sent.keys()
        assert b"alice" not in prepared.body
        assert b"hi" in prepared.body


def _change(value: Any, steps: int, new: Any) -> None:
    """Puts something else somewhere into a JSON value."""
    for _ in range(steps):
        inner = [v for v in (value.values() if isinstance(value, dict) else value) if isinstance(v, dict | list) and v]
        if not inner:
            break
        value = inner[steps % len(inner)]
    if isinstance(value, dict) and value:
        value[list(value)[steps % len(value)]] = new
    elif isinstance(value, list) and value:
        value[0] = new

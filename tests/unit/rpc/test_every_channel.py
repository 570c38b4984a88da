"""What stubs do over every kind of channel: in process, over a session, over plain gRPC."""

import asyncio
import gc
import logging
from contextlib import aclosing, suppress
from typing import Any

import pytest
from grpc import aio
from opentelemetry.context import attach, detach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from switchyard.keys.v1 import keys_pb2
from switchyard.keys.v1.keys_pb2_grpc import KeyManagementServiceStub
from switchyard.ledger.v1.ledger_pb2 import HoldRequest, VoidRequest
from switchyard.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from switchyard.provider.v1.provider_pb2 import GenerateRequest
from switchyard.provider.v1.provider_pb2_grpc import ProviderAdapterServiceStub

from libs.errors import AppError, Kind
from tests.unit.rpc.fakes import PAYMENT, Fakes, number


async def hold(channel: aio.Channel, owner: str = "", tokens: int = 1, **options: Any) -> int:
    return (await LedgerServiceStub(channel).Hold(HoldRequest(owner=owner, tokens=tokens), **options)).tokens


def generate(channel: aio.Channel, model: str = "", chunks: int = 0, size: int = 0, **options: Any) -> Any:
    request = GenerateRequest(model=model, created_s=chunks, max_tokens=size)
    return ProviderAdapterServiceStub(channel).Generate(request, **options)


async def test_unary_call_returns_reply(channel: aio.Channel) -> None:
    assert await hold(channel, tokens=7) == 7


async def test_stream_yields_replies_in_order(channel: aio.Channel) -> None:
    assert [number(reply) async for reply in generate(channel, chunks=100)] == list(range(100))


async def test_stream_read_one_by_one_ends_with_eof(channel: aio.Channel) -> None:
    call = generate(channel, chunks=2)
    assert [number(await call.read()), number(await call.read()), await call.read()] == [0, 1, aio.EOF]


async def test_stream_without_replies_is_empty(channel: aio.Channel) -> None:
    assert [reply async for reply in generate(channel)] == []


async def test_typed_error_arrives_whole(channel: aio.Channel) -> None:
    with pytest.raises(AppError) as caught:
        await hold(channel, "typed")
    assert _facts(caught.value) == _facts(PAYMENT)


async def test_typed_error_arrives_after_the_replies_before_it(channel: aio.Channel) -> None:
    numbers, error = await _consume(generate(channel, "typed", chunks=5))
    assert numbers == [0, 1, 2, 3, 4]
    assert _facts(error) == _facts(PAYMENT)


async def _consume(call: Any) -> tuple[list[int], AppError]:
    """The numbers of a stream that fails, and how it does."""
    numbers = []
    try:
        async for reply in call:
            numbers.append(number(reply))  # noqa: PERF401 (the list outlives the error)
    except AppError as error:
        return numbers, error
    pytest.fail("the stream did not fail")


def _facts(error: AppError) -> tuple[Any, ...]:
    return error.kind, error.reason, error.message, dict(error.metadata), error.retry_after_s


async def test_untyped_error_is_hidden_from_the_caller_and_logged(
    channel: aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AppError) as unary:
        await hold(channel, "untyped")
    with pytest.raises(AppError) as stream:
        _ = [reply async for reply in generate(channel, "untyped")]
    for error in (unary.value, stream.value):
        assert _facts(error) == (Kind.INTERNAL, "INTERNAL", "Internal Server Error", {}, None)
    logged = [record for record in caplog.records if record.exc_info and "secret" in str(record.exc_info[1])]
    assert [record.levelno for record in logged] == [logging.ERROR, logging.ERROR]


async def test_unary_call_past_its_deadline_fails_and_stops_the_servicer(channel: aio.Channel, fakes: Fakes) -> None:
    with pytest.raises(AppError) as caught:
        await hold(channel, "block", timeout=0.1)
    assert (caught.value.kind, caught.value.reason) == (Kind.TIMEOUT, "DEADLINE_EXCEEDED")
    await fakes.noticed.wait("hold cancelled")


async def test_stream_past_its_deadline_fails_and_stops_the_servicer(channel: aio.Channel, fakes: Fakes) -> None:
    numbers, error = await _consume(generate(channel, "block", chunks=3, timeout=0.2))
    assert numbers == [0, 1, 2]
    assert error.reason == "DEADLINE_EXCEEDED"
    await fakes.noticed.wait("generate over")


async def test_stream_whose_deadline_passes_between_two_replies_fails(channel: aio.Channel, fakes: Fakes) -> None:
    call = aiter(generate(channel, "block", chunks=1, timeout=0.2))
    assert number(await anext(call)) == 0
    await fakes.noticed.wait("generate over")
    with pytest.raises(AppError) as caught:
        await anext(call)
    assert caught.value.reason == "DEADLINE_EXCEEDED"


async def test_cancelled_caller_of_unary_call_stops_the_servicer(channel: aio.Channel, fakes: Fakes) -> None:
    task = asyncio.create_task(hold(channel, "block"))
    await fakes.noticed.wait("hold begun")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fakes.noticed.wait("hold cancelled")


async def test_caller_of_unary_call_past_its_own_timeout_stops_the_servicer(channel: aio.Channel, fakes: Fakes) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await hold(channel, "block", timeout=60)
    await fakes.noticed.wait("hold cancelled")


async def test_cancelled_caller_of_stream_stops_the_servicer(channel: aio.Channel, fakes: Fakes) -> None:
    async def consume() -> None:
        async for _ in generate(channel, "block", chunks=1):
            pass

    task = asyncio.create_task(consume())
    await fakes.noticed.wait("blocked")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fakes.noticed.wait("generate over")


async def test_cancel_of_unary_call_stops_both_ends(channel: aio.Channel, fakes: Fakes) -> None:
    call: Any = LedgerServiceStub(channel).Hold(HoldRequest(owner="block"))

    async def wait() -> str:
        try:
            await call
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    task = asyncio.create_task(wait())
    await fakes.noticed.wait("hold begun")
    assert call.cancel()
    assert await task == "cancelled"
    assert task.cancelling() == 0
    await fakes.noticed.wait("hold cancelled")
    assert not call.cancel()


async def test_cancel_of_stream_between_replies_stops_both_ends(channel: aio.Channel, fakes: Fakes) -> None:
    call = generate(channel, "block", chunks=1)
    replies = aiter(call)
    assert number(await anext(replies)) == 0
    assert call.cancel()
    await fakes.noticed.wait("generate over")
    with pytest.raises(asyncio.CancelledError):
        await anext(replies)
    assert not call.cancel()


async def test_cancel_of_stream_while_somebody_waits_stops_both_ends(channel: aio.Channel, fakes: Fakes) -> None:
    call = generate(channel, "block")
    task = asyncio.create_task(call.read())
    await fakes.noticed.wait("blocked")
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fakes.noticed.wait("generate over")


async def test_closed_iterator_stops_the_servicer(channel: aio.Channel, fakes: Fakes) -> None:
    async with aclosing(generate(channel, "block", chunks=5)) as replies:
        async for reply in replies:
            if number(reply) == 2:
                break
    await fakes.noticed.wait("generate over")


async def test_dropped_iterator_stops_the_servicer(channel: aio.Channel, fakes: Fakes) -> None:
    async for _ in generate(channel, "block", chunks=5, timeout=60):
        break
    gc.collect(0)
    await fakes.noticed.wait("generate over")


async def test_ended_stream_cannot_be_cancelled(channel: aio.Channel) -> None:
    call = generate(channel, chunks=3)
    assert len([reply async for reply in call]) == 3
    assert not call.cancel()


async def test_unknown_method_is_missing(channel: aio.Channel) -> None:
    with pytest.raises(AppError) as caught:
        await KeyManagementServiceStub(channel).Authenticate(keys_pb2.AuthenticateRequest())
    assert (caught.value.kind, caught.value.reason) == (Kind.MISSING, "METHOD_UNKNOWN")


async def test_method_that_the_servicer_lacks_is_an_error(channel: aio.Channel) -> None:
    with pytest.raises(AppError):
        await LedgerServiceStub(channel).Void(VoidRequest())


async def test_thousand_calls_at_once_each_get_their_own_reply(channel: aio.Channel) -> None:
    tokens = await asyncio.gather(*(hold(channel, tokens=n, timeout=30) for n in range(1000)))
    assert tokens == list(range(1000))


async def test_streams_at_once_each_keep_their_order(channel: aio.Channel) -> None:
    async def numbers() -> list[int]:
        return [number(reply) async for reply in generate(channel, chunks=50, size=2000)]

    assert await asyncio.gather(*(numbers() for _ in range(20))) == [list(range(50))] * 20


async def test_large_messages_cross_whole_both_ways(channel: aio.Channel) -> None:
    body = bytes(range(256)) * 4 * 5120
    call = ProviderAdapterServiceStub(channel).Generate(GenerateRequest(model="echo", body=body))
    assert [reply.result.json async for reply in call] == [body]


async def test_cancelled_call_leaves_others_alone(channel: aio.Channel, fakes: Fakes) -> None:
    doomed = asyncio.create_task(hold(channel, "block", tokens=1))
    others = [asyncio.create_task(hold(channel, "block", tokens=n)) for n in range(2, 10)]
    await fakes.noticed.wait("hold begun", 9)
    doomed.cancel()
    with suppress(asyncio.CancelledError):
        await doomed
    fakes.ledger.release.set()
    assert await asyncio.gather(*others) == list(range(2, 10))


async def test_slow_consumer_stops_its_producer_and_nobody_else(channel: aio.Channel, fakes: Fakes) -> None:
    replies = aiter(generate(channel, chunks=100_000, size=10_000))
    assert number(await anext(replies)) == 0
    for n in range(50):
        assert await hold(channel, tokens=n) == n
    # A GB is on offer; what is made of it is what fits into windows on the way.
    assert fakes.adapter.yielded < 1000
    assert [number(await anext(replies)) for _ in range(1500)] == list(range(1, 1501))
    assert fakes.adapter.yielded < 2500
    await replies.aclose()
    await fakes.noticed.wait("generate over")


async def test_servicer_learns_metadata_and_time_left(channel: aio.Channel, fakes: Fakes) -> None:
    await hold(channel, metadata=(("edge", "e-1"),), timeout=30)
    assert fakes.ledger.metadata[0]["edge"] == "e-1"
    assert 20 < fakes.ledger.times_left_s[0] < 31


async def test_servicer_stands_in_the_callers_trace(channel: aio.Channel, fakes: Fakes) -> None:
    trace_id = 0x0AF7651916CD43DD8448EB211C80319C
    span = SpanContext(trace_id, 0xB7AD6B7169203331, is_remote=False, trace_flags=TraceFlags(1))
    token = attach(set_span_in_context(NonRecordingSpan(span)))
    try:
        await hold(channel)
        _ = [reply async for reply in generate(channel, chunks=2)]
    finally:
        detach(token)
    await hold(channel)
    assert fakes.ledger.trace_ids == [trace_id, 0]
    assert fakes.adapter.trace_ids == [trace_id, trace_id]

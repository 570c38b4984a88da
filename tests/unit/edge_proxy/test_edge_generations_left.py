"""The story of a request whose caller leaves: nothing runs on, one record, charged for what was relayed (DESIGN §11)."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from switchyard.common.v1.usage_pb2 import USAGE_SOURCE_COUNTED
from switchyard.events.v1 import usage_recorded_pb2 as events

from libs.errors import unavailable
from services.edge_proxy.ports import ClientGoneError
from tests.testkit.edge_proxy import Edge, Gate, chunks, end, planned, provider_failure, result, until

ClosedSpool = unavailable("spool")


async def cancelled_at(gate: Gate, request: Coroutine[Any, Any, Any]) -> None:
    """Runs a request until it stands at the gate, then cancels it as a lost connection does."""
    task = asyncio.ensure_future(request)
    await until(lambda: gate.reached)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("stream", [False, True])
async def test_caller_who_leaves_before_the_first_event_pays_nothing(edge: Edge, stream: bool) -> None:
    gate = Gate()
    edge.adapter.will(gate, chunks("late"), end())
    await cancelled_at(gate, edge.stream() if stream else edge.complete())
    record = await edge.only_record()
    assert (record.outcome, record.http_status, record.cost_nano_usd) == (events.OUTCOME_CANCELLED, 499, 0)
    assert [attempt.outcome for attempt in record.attempts] == [events.ATTEMPT_OUTCOME_ABANDONED]
    assert edge.adapter.calls[0].cancelled
    assert not edge.ledger.held


async def test_caller_who_leaves_during_a_fallback_leaves_both_attempts_in_the_record(edge: Edge) -> None:
    gate = Gate()
    edge.router.attempts = [planned("alpha"), planned("beta")]
    edge.adapter.will(provider_failure())
    edge.adapter.will(gate)
    await cancelled_at(gate, edge.stream())
    record = await edge.only_record()
    outcomes = [attempt.outcome for attempt in record.attempts]
    assert outcomes == [events.ATTEMPT_OUTCOME_FAILED, events.ATTEMPT_OUTCOME_ABANDONED]
    assert record.cost_nano_usd == 0


async def test_caller_who_leaves_mid_stream_pays_for_the_prompt_and_what_was_relayed(edge: Edge) -> None:
    gate = Gate()
    edge.adapter.will(chunks("one"), chunks(" two", " three"), gate, end())
    await cancelled_at(gate, edge.stream())
    record = await edge.only_record()
    assert record.outcome == events.OUTCOME_CANCELLED
    assert record.usage_source == USAGE_SOURCE_COUNTED
    assert record.usage.completion_tokens == 3
    prompt = edge.router.requests[0].features.prompt_tokens_estimate
    assert record.usage.prompt_tokens == prompt
    assert record.cost_nano_usd == prompt * 1000 + 3 * 2000
    assert edge.adapter.calls[0].cancelled
    assert [attempt.outcome for attempt in record.attempts] == [events.ATTEMPT_OUTCOME_ABANDONED]


async def test_caller_found_gone_at_a_write_is_as_one_who_left(edge: Edge) -> None:
    edge.adapter.will(chunks("one"), chunks(" two"), end())
    edge.sink.leaves_at = 1
    with pytest.raises(ClientGoneError):
        await edge.stream()
    record = await edge.only_record()
    assert record.outcome == events.OUTCOME_CANCELLED
    assert record.usage.completion_tokens == 2
    assert edge.adapter.calls[0].cancelled


async def test_caller_found_gone_at_the_last_write_has_a_completed_record(edge: Edge) -> None:
    edge.adapter.will(chunks("one"), end(10, 1))
    edge.sink.leaves_at = 1
    with pytest.raises(ClientGoneError):
        await edge.stream()
    record = await edge.only_record()
    assert (record.outcome, record.cost_nano_usd) == (events.OUTCOME_COMPLETED, 12_000)


async def test_caller_found_gone_at_the_error_event_has_a_failed_record(edge: Edge) -> None:
    edge.adapter.will(chunks("one"), provider_failure())
    edge.sink.leaves_at = 1
    with pytest.raises(ClientGoneError):
        await edge.stream()
    record = await edge.only_record()
    assert (record.outcome, record.cost_nano_usd) == (events.OUTCOME_FAILED, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_caller_who_leaves_while_the_record_is_written_cannot_undo_it(edge: Edge, stream: bool) -> None:
    gate = edge.usage_log.gate = Gate()
    edge.adapter.will(chunks("a") if stream else result(), end(10, 5))
    await cancelled_at(gate, edge.stream() if stream else edge.complete())
    gate.open()
    await until(lambda: edge.usage_log.events)
    record = await edge.only_record()
    assert (record.outcome, record.cost_nano_usd) == (events.OUTCOME_COMPLETED, 20_000)
    assert edge.ledger.voided == []


async def test_caller_who_leaves_while_a_failure_is_recorded_leaves_one_record(edge: Edge) -> None:
    gate = edge.usage_log.gate = Gate()
    edge.adapter.will(provider_failure())
    await cancelled_at(gate, edge.complete())
    gate.open()
    await until(lambda: edge.usage_log.events)
    assert (await edge.only_record()).outcome == events.OUTCOME_FAILED


async def test_caller_who_leaves_during_the_hold_gets_it_voided(edge: Edge) -> None:
    gate = edge.ledger.gate = Gate()
    await cancelled_at(gate, edge.admitted())
    await edge.settled()
    assert len(edge.ledger.voided) == 1
    assert not edge.ledger.held
    assert edge.adapter.calls == []
    assert edge.usage_log.events == []


async def test_departure_that_cannot_be_recorded_voids_the_hold(edge: Edge) -> None:
    gate = Gate()
    edge.usage_log.failure = ClosedSpool
    edge.adapter.will(gate)
    await cancelled_at(gate, edge.stream())
    await edge.settled()
    assert not edge.ledger.held


async def test_late_usage_log_failure_of_a_caller_who_left_voids_the_hold(edge: Edge) -> None:
    gate = edge.usage_log.gate = Gate()
    edge.usage_log.failure = ClosedSpool
    edge.adapter.will(result(), end())
    await cancelled_at(gate, edge.complete())
    gate.open()
    await until(lambda: edge.ledger.voided)
    assert not edge.ledger.held

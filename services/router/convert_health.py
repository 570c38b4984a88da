"""Between what the router knows of health and the event log's messages.

Owns the translation. Decides nothing. Invariant: a message that says what cannot be is a ValueError, never a figure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from switchyard.common.v1 import tool_calls_pb2 as tool_calls
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.events.v1.endpoint_health_recorded_pb2 import Distribution, EndpointHealthRecorded, EndpointTally

from services.router.core.history import BUCKET_S, Tally
from services.router.core.sketch import GAMMA, Sketch
from services.router.core.stickiness import Served
from services.router.core.verdicts import Outcome, Verdict, blames_credential, verdict_of

_ENDPOINTS_PER_RECORD: Final = 200
"""Some 60 KB: far from what a broker refuses, and read without holding up a plan."""
_ERROR: Final = "error"
_GOOD_CALLS: Final[Mapping[int, bool]] = {
    tool_calls.TOOL_CALL_VERDICT_VALID: True,
    tool_calls.TOOL_CALL_VERDICT_INVALID_JSON: False,
    tool_calls.TOOL_CALL_VERDICT_UNKNOWN_NAME: False,
    tool_calls.TOOL_CALL_VERDICT_SCHEMA_MISMATCH: False,
}


class Bucket(NamedTuple):
    """What a record says of one bucket."""

    number: int
    tallies: Sequence[tuple[str, Tally]]


def outcomes_from_proto(event: events.UsageRecorded) -> list[Outcome]:
    """What an event says about the endpoints that were tried."""
    outcomes = []
    for attempt in event.attempts:
        succeeded = attempt.outcome == events.ATTEMPT_OUTCOME_SUCCEEDED
        if not succeeded and attempt.outcome != events.ATTEMPT_OUTCOME_FAILED:
            continue
        verdict = verdict_of(succeeded=succeeded, status=attempt.status, error_class=attempt.error_class)
        if succeeded and event.finish_reason == _ERROR and attempt.endpoint_id == event.endpoint_id:
            verdict, succeeded = Verdict.FAILURE, False
        ended_ms = attempt.started_at_ms + attempt.total_ms if attempt.started_at_ms else event.recorded_at_ms
        outcomes.append(
            Outcome(
                attempt.endpoint_id,
                verdict,
                ended_ms // 1000,
                attempt.first_event_ms if succeeded else 0,
                attempt.total_ms if succeeded else 0,
                event.usage.completion_tokens if succeeded else 0,
                attempt.started_at_ms // 1000,
                attempt.credential_id or ("" if attempt.is_byok else attempt.provider_slug),
                not (attempt.is_byok or attempt.credential_id),
                not succeeded and blames_credential(status=attempt.status, error_class=attempt.error_class),
                _GOOD_CALLS.get(attempt.tool_calls) if succeeded else None,
            )
        )
    return outcomes


def served_from_proto(event: events.UsageRecorded) -> Served | None:
    """What an event says about a conversation; None when it was not served, or belongs to none."""
    if event.outcome != events.OUTCOME_COMPLETED or not event.session_key or event.finish_reason == _ERROR:
        return None
    return Served(
        f"{event.session_key}/{event.model}",
        event.endpoint_id,
        event.recorded_at_ms // 1000,
        event.has_explicit_session,
        event.usage.cache_read_tokens > 0,
    )


def bucket_to_proto(
    number: int, tallies: Sequence[tuple[str, Tally]], snapshot_id: str
) -> Iterator[EndpointHealthRecorded]:
    """A bucket as records of a bearable size, each with an id of its own, made one at a time."""
    for part, start in enumerate(range(0, len(tallies), _ENDPOINTS_PER_RECORD)):
        yield EndpointHealthRecorded(
            snapshot_id=f"{snapshot_id}-{number}-{part}",
            bucket=str(number),
            bucket_start_s=number * BUCKET_S,
            bucket_s=BUCKET_S,
            gamma=GAMMA,
            endpoints=[_tally_to_proto(*one) for one in tallies[start : start + _ENDPOINTS_PER_RECORD]],
        )


def bucket_from_proto(message: EndpointHealthRecorded, measured_from: int) -> Bucket:
    """What a record holds; measurements of buckets before `measured_from` are of no use any more and are left out.

    Raises:
        ValueError: no router of this kind has written it.
    """
    if message.bucket_s != BUCKET_S or message.gamma != GAMMA or message.bucket_start_s % BUCKET_S:
        raise ValueError("buckets or sketches of another kind")
    number = message.bucket_start_s // BUCKET_S
    read = _tally_from_proto if number >= measured_from else _outcomes_from_proto
    return Bucket(number, [(one.endpoint_id, read(one)) for one in message.endpoints])


def _tally_to_proto(endpoint_id: str, tally: Tally) -> EndpointTally:
    return EndpointTally(
        endpoint_id=endpoint_id,
        attempts=tally.attempts,
        failures=tally.failures,
        latency_s=_sketch_to_proto(tally.latency),
        throughput=_sketch_to_proto(tally.throughput),
        tool_requests=tally.tool_requests,
        tool_failures=tally.tool_failures,
    )


def _sketch_to_proto(sketch: Sketch) -> Distribution:
    sketch.settle()
    return Distribution(first_key=sketch.first_key, counts=sketch.counts)


def _tally_from_proto(message: EndpointTally) -> Tally:
    tally = _outcomes_from_proto(message)
    tally.latency, tally.throughput = _sketch_from_proto(message.latency_s), _sketch_from_proto(message.throughput)
    if max(tally.latency.count, tally.throughput.count) > tally.attempts:
        raise ValueError("more measurements than attempts")
    return tally


def _outcomes_from_proto(message: EndpointTally) -> Tally:
    if message.failures > message.attempts:
        raise ValueError("more failures than attempts")
    if not message.tool_failures <= message.tool_requests <= message.attempts - message.failures:
        raise ValueError("more tool calls than successes, or more bad ones than calls")
    tally = Tally(message.attempts, message.failures)
    tally.tool_requests, tally.tool_failures = message.tool_requests, message.tool_failures
    return tally


def _sketch_from_proto(message: Distribution) -> Sketch:
    return Sketch(message.first_key, message.counts)

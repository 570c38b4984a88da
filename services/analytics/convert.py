"""Usage events as rows, and records as messages.

Owns reading what comes over the wire. Decides nothing. Invariant: each event is parsed once, and kept byte by byte.
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from switchyard.analytics.v1 import analytics_pb2 as pb
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded

from libs.bus.port import Delivered, Rejected
from services.analytics.core.records import GenerationRow, problem_of


def rows_of(records: Sequence[Delivered], now_ms: int) -> tuple[list[GenerationRow], list[Rejected]]:
    """Rows with distinct ids (the first of each), and the records that can never become one."""
    rows: dict[str, GenerationRow] = {}
    rejected: list[Rejected] = []
    for index, delivered in enumerate(records):
        value = delivered.record.value
        try:
            event = UsageRecorded.FromString(value)
        except DecodeError:
            rejected.append(Rejected(index, "not a UsageRecorded message"))
            continue
        row = row_of(event, value)
        problem = problem_of(row, now_ms)
        if problem is None:
            rows.setdefault(row.generation_id, row)
        else:
            rejected.append(Rejected(index, problem))
    return list(rows.values()), rejected


def row_of(event: UsageRecorded, value: bytes) -> GenerationRow:
    usage = event.usage
    return GenerationRow(
        event.generation_id,
        event.account_id,
        event.key_hash,
        event.created_at_ms,
        event.outcome,
        event.model or event.requested_model,
        event.endpoint_id,
        event.provider_slug,
        event.is_byok,
        0 if event.review_reason else event.cost_nano_usd,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.reasoning_tokens,
        value,
    )


def generation_response(event: bytes) -> pb.GetGenerationResponse:
    return pb.GetGenerationResponse(record=UsageRecorded.FromString(event))

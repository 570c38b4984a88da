"""Between protobuf messages and our own values.

Owns both directions. Decides nothing. Invariant: a limit that was not given is the default.
"""

from collections.abc import Mapping
from typing import Final

from switchyard.common.v1 import tool_calls_pb2 as tool_calls
from switchyard.common.v1.usage_pb2 import TokenUsage
from switchyard.provider.v1 import provider_pb2 as pb

from services.provider_adapter.protocols.port import CHAT, Attempt, ReplyFacts, Usage
from services.provider_adapter.tool_calls.judge import Verdict
from services.provider_adapter.waiting import Limits

_DEFAULTS = Limits()
_VERDICTS: Final[Mapping[Verdict, "tool_calls.ToolCallVerdict.ValueType"]] = {
    Verdict.NONE: tool_calls.TOOL_CALL_VERDICT_UNSPECIFIED,
    Verdict.VALID: tool_calls.TOOL_CALL_VERDICT_VALID,
    Verdict.INVALID_JSON: tool_calls.TOOL_CALL_VERDICT_INVALID_JSON,
    Verdict.UNKNOWN_NAME: tool_calls.TOOL_CALL_VERDICT_UNKNOWN_NAME,
    Verdict.SCHEMA_MISMATCH: tool_calls.TOOL_CALL_VERDICT_SCHEMA_MISMATCH,
    Verdict.NOT_JUDGED: tool_calls.TOOL_CALL_VERDICT_NOT_JUDGED,
}


def attempt_from_proto(request: pb.GenerateRequest) -> Attempt:
    return Attempt(
        generation_id=request.generation_id,
        provider_name=request.provider_name,
        provider_model_id=request.provider_model_id,
        model=request.model,
        created_s=request.created_s,
        stream=request.stream,
        body=request.body,
        max_tokens=request.max_tokens if request.HasField("max_tokens") else None,
        unsupported_parameters=tuple(request.unsupported_parameters),
        user_hash=request.user_hash,
        operation=request.operation or CHAT,
        service_tier=request.service_tier,
        anthropic_beta=request.anthropic_beta,
    )


def limits_from_proto(limits: pb.AttemptLimits) -> Limits:
    return Limits(
        _seconds(limits.connect_ms, _DEFAULTS.connect_s),
        _seconds(limits.first_event_ms, _DEFAULTS.first_event_s),
        _seconds(limits.idle_ms, _DEFAULTS.idle_s),
        _seconds(limits.total_ms, _DEFAULTS.total_s),
    )


def _seconds(limit_ms: int, default_s: float) -> float:
    return limit_ms / 1000 if limit_ms > 0 else default_s


def end_to_proto(
    facts: ReplyFacts, status: int, first_event_s: float, total_s: float, verdict: Verdict
) -> pb.GenerateResponse:
    return pb.GenerateResponse(
        end=pb.End(
            usage=None if facts.usage is None else usage_to_proto(facts.usage),
            finish_reason=facts.finish_reason,
            native_finish_reason=facts.native_finish_reason,
            upstream_id=facts.upstream_id,
            service_tier=facts.service_tier,
            system_fingerprint=facts.system_fingerprint,
            first_event_ms=round(first_event_s * 1000),
            total_ms=round(total_s * 1000),
            upstream_status=status,
            has_content=facts.has_content,
            tool_calls=_VERDICTS[verdict],
        )
    )


def usage_to_proto(usage: Usage) -> TokenUsage:
    return TokenUsage(**usage._asdict())

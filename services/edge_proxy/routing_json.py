"""How a request was routed, as public JSON: `openrouter_metadata` of replies, and the answer of `routing/explain`.

Owns these shapes (reference behaviour-facts §22, api-facts §8, and an `explanation` of ours beside them). Decides nothing.
Invariant: what is shown comes from the plan and the attempts' records; neither prompts nor credentials are in either.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.routing.v1 import routing_pb2 as routing

from libs.errors import STATUSES, AppError, Kind
from libs.money import format_price_per_unit
from services.edge_proxy.core.error_body import error_object
from services.edge_proxy.generation import Generation


def routing_metadata(generation: Generation) -> bytes:
    """The object that a caller who asked for it gets with the reply or the error."""
    plan, records = generation.plan, generation.attempt_records
    served = generation.served
    candidates = plan.explanation.candidates
    planned = [one for one in candidates if one.rank] or plan.attempts
    metadata = {
        "requested": generation.request.models[0],
        "strategy": plan.strategy or "direct",
        "region": None,
        "summary": _summary(len(candidates), len(planned), served.provider_name if served is not None else ""),
        "attempt": len(records),
        "is_byok": served.is_byok if served is not None else False,
        "endpoints": {
            "total": len(candidates),
            "available": [
                {"provider": one.provider_name, "model": one.model, "selected": _is_served(one, generation)}
                for one in planned
            ],
        },
        "attempts": [
            {"provider": one.provider_name, "model": one.model, "status": one.status or _status(one)} for one in records
        ],
        "router": plan.router or None,
        "explanation": [_candidate(one) for one in candidates],
    }
    return orjson.dumps(metadata)


def explanation_json(generation: Generation, answer: routing.ExplainResponse) -> bytes:
    """What would be tried for a request, in which order, and why not the others."""
    plan = answer.plan
    by_id = {one.endpoint_id: one for one in plan.attempts}
    candidates = plan.explanation.candidates
    data = {
        "requested": list(generation.request.models),
        "strategy": plan.strategy or None,
        "router": plan.router or None,
        "prompt_tokens_estimate": generation.request.prompt_tokens,
        "endpoints": {"total": len(candidates), "planned": len(plan.attempts)},
        "attempts": [_attempt(one, by_id) for one in candidates if one.rank],
        "dropped": [_candidate(one) for one in candidates if not one.rank],
        "error": error_object(_problem(answer.problem)) if answer.HasField("problem") else None,
    }
    return orjson.dumps({"data": data})


def _problem(problem: routing.PlanProblem) -> AppError:
    kind = next((kind for kind, one in STATUSES.items() if one.http == problem.http_status), Kind.INTERNAL)
    return AppError(kind, problem.reason, problem.message, dict(problem.metadata))


def _attempt(candidate: routing.Candidate, by_id: Mapping[str, routing.Attempt]) -> dict[str, Any]:
    attempt = by_id.get(candidate.endpoint_id)
    return _candidate(candidate) | {
        "service_tier": (attempt.service_tier if attempt is not None else "") or None,
        "context_length": attempt.context_length if attempt is not None else None,
        "max_completion_tokens": (attempt.max_completion_tokens if attempt is not None else 0) or None,
    }


def _candidate(one: routing.Candidate) -> dict[str, Any]:
    return {
        "rank": one.rank or None,
        "endpoint_id": one.endpoint_id,
        "provider": one.provider_name,
        "model": one.model,
        "tag": one.tag,
        "reason": one.reason or None,
        "dropped_by": one.dropped_by or None,
        "detail": one.detail or None,
        "is_byok": one.is_byok,
        "pricing": {
            "prompt": format_price_per_unit(one.price.prompt),
            "completion": format_price_per_unit(one.price.completion),
            "request": format_price_per_unit(one.price.request),
        },
    }


def _is_served(one: routing.Candidate | routing.Attempt, generation: Generation) -> bool:
    served = generation.served
    return served is not None and served.endpoint_id == one.endpoint_id and served.is_byok == one.is_byok


def _status(record: events.AttemptRecord) -> int:
    return 200 if record.outcome == events.ATTEMPT_OUTCOME_SUCCEEDED else 0


def _summary(total: int, available: int, selected: str) -> str:
    return f"endpoints={total}, available={available}, selected={selected or 'none'}"

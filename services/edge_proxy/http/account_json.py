"""Public JSON of keys, credits and generation records, with exact decimals.

Owns the fields that both SDK generations require (reference api-facts §5 and §9). Invariant: money is printed from the
integer, never through a float.
"""

from datetime import UTC, datetime
from typing import Any, Final

import orjson
from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.keys.v1 import keys_pb2
from switchyard.ledger.v1.ledger_pb2 import GetKeySpendResponse

from libs.money import format_usd

_RESETS: Final = {
    keys_pb2.LIMIT_RESET_DAILY: "daily",
    keys_pb2.LIMIT_RESET_WEEKLY: "weekly",
    keys_pb2.LIMIT_RESET_MONTHLY: "monthly",
}


def usd(amount: int) -> orjson.Fragment:
    return orjson.Fragment(format_usd(amount))


def iso_time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def credits_json(total_credits: int, total_usage: int) -> dict[str, Any]:
    return {"total_credits": usd(total_credits), "total_usage": usd(total_usage)}


def key_json(key: keys_pb2.Key, spend: GetKeySpendResponse, *, has_paid: bool) -> dict[str, Any]:
    reset = _RESETS.get(key.limit_reset)
    limit = key.limit_nano_usd if key.HasField("limit_nano_usd") else None
    spent = {
        "daily": spend.daily_nano_usd,
        "weekly": spend.weekly_nano_usd,
        "monthly": spend.monthly_nano_usd,
    }.get(reset or "", spend.total_nano_usd)
    zero = usd(0)
    return {
        "label": key.label,
        "limit": None if limit is None else usd(limit),
        "limit_remaining": None if limit is None else usd(max(limit - spent, 0)),
        "limit_reset": reset,
        "include_byok_in_limit": key.include_byok_in_limit,
        "usage": usd(spend.total_nano_usd),
        "usage_daily": usd(spend.daily_nano_usd),
        "usage_weekly": usd(spend.weekly_nano_usd),
        "usage_monthly": usd(spend.monthly_nano_usd),
        "byok_usage": zero,
        "byok_usage_daily": zero,
        "byok_usage_weekly": zero,
        "byok_usage_monthly": zero,
        "is_free_tier": not has_paid,
        "is_management_key": key.is_management,
        "is_provisioning_key": key.is_management,
        "creator_user_id": key.creator_user_id if key.HasField("creator_user_id") else None,
        "expires_at": iso_time(key.expires_at_ms) if key.HasField("expires_at_ms") else None,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
        "allowed_data_regions": ["global"],
        "budgets": [],
        "effective_budget": None,
        "free_model_daily_requests": {
            "limit": 1000 if has_paid else 50,
            "remaining": 1000 if has_paid else 50,
            "used": 0,
        },
        "organization_id": None,
        "workspace_id": key.workspace_id,
    }


def generation_json(record: events.UsageRecorded) -> dict[str, Any]:
    usage, cost = record.usage, usd(record.cost_nano_usd)
    return {
        "id": record.generation_id,
        "request_id": record.request_id or None,
        "upstream_id": record.upstream_id or None,
        "created_at": iso_time(record.created_at_ms),
        "model": record.model or record.requested_model,
        "provider_name": record.provider_name or None,
        "api_type": record.api_type or None,
        "streamed": record.streamed,
        "cancelled": record.outcome == events.OUTCOME_CANCELLED,
        "finish_reason": record.finish_reason or None,
        "native_finish_reason": record.native_finish_reason or None,
        "latency": record.latency_ms,
        "generation_time": record.generation_time_ms,
        "moderation_latency": None,
        "total_cost": cost,
        "usage": cost,
        "cache_discount": None,
        "upstream_inference_cost": None,
        "is_byok": record.is_byok,
        "tokens_prompt": usage.prompt_tokens,
        "tokens_completion": usage.completion_tokens,
        "native_tokens_prompt": usage.prompt_tokens,
        "native_tokens_completion": usage.completion_tokens,
        "native_tokens_cached": usage.cache_read_tokens,
        "native_tokens_reasoning": usage.reasoning_tokens,
        "native_tokens_completion_images": None,
        "num_media_prompt": None,
        "num_media_completion": None,
        "num_input_audio_prompt": None,
        "num_search_results": None,
        "num_fetches": None,
        "web_search_engine": None,
        "origin": record.http_referer,
        "http_referer": record.http_referer or None,
        "user_agent": record.user_agent or None,
        "app_id": None,
        "external_user": record.user_id or None,
        "session_id": record.session_id or None,
        "workspace_id": record.workspace_id or None,
        "preset_id": None,
        "router": record.router or None,
        "service_tier": record.service_tier or None,
        "data_region": "global",
        "response_cache_source_id": None,
        "usage_is_estimated": record.usage_source == 2,
        "under_review": record.review_reason or None,
        "status": record.http_status,
        "provider_responses": [_attempt(attempt) for attempt in record.attempts],
    }


def _attempt(attempt: events.AttemptRecord) -> dict[str, Any]:
    return {
        "id": attempt.upstream_id or None,
        "endpoint_id": attempt.endpoint_id,
        "model_permaslug": attempt.model,
        "provider_name": attempt.provider_name,
        "is_byok": attempt.is_byok,
        "latency": attempt.first_event_ms or attempt.total_ms,
        "status": attempt.status or None,
    }

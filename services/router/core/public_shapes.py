"""Models, endpoints and providers in the shapes of the public API (reference api-facts §4).

Owns these shapes, with every field that both generations of the official SDK require. Does not encode them.
Invariant: prices are decimal strings made from integers.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from libs.money import format_price_per_unit
from libs.pricing import Tier
from services.router.core.catalogue import Endpoint, Model, Price, Provider
from services.router.core.health import Figures
from services.router.core.snapshot import Percentiles

_TOOL_CHOICES = ("auto", "function", "none", "required")
_KINDS = {"chat": "A chat model", "completion": "A text completion model", "embedding": "An embedding model",
          "rerank": "A reranking model", "image": "An image model", "audio": "An audio model",
          "video": "A video model"}  # fmt: skip


def model_card(model: Model) -> dict[str, Any]:
    """One model on offer, as lists show it."""
    cheapest = model.cheapest
    supported = sorted(frozenset[str]().union(*(one.supported_parameters for one in model.endpoints)))
    card = {
        "id": model.id,
        "canonical_slug": model.id,
        "hugging_face_id": None,
        "name": model.name,
        "created": model.created_s,
        "description": description(model),
        "context_length": max(one.context_length for one in model.endpoints),
        "architecture": _architecture(model),
        "pricing": _pricing(cheapest.price),
        "top_provider": {
            "context_length": cheapest.context_length,
            "max_completion_tokens": cheapest.max_completion_tokens or None,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": supported,
        "supported_voices": None,
        "default_parameters": dict(model.default_parameters),
        "knowledge_cutoff": model.knowledge_cutoff,
        "expiration_date": _expiration(model),
        "links": {"details": f"/api/v1/models/{model.id}/endpoints"},
    }
    if model.reasoning is not None:
        card["reasoning"] = {
            "mandatory": not model.reasoning.is_optional,
            "supported_efforts": list(model.reasoning.efforts) or None,
            "supports_max_tokens": model.reasoning.takes_max_tokens,
        }
    return card


def model_endpoints(model: Model, figures_of: Callable[[str], Figures]) -> dict[str, Any]:
    """One model with its endpoints, which may be none."""
    return {
        "data": {
            "id": model.id,
            "name": model.name,
            "created": model.created_s,
            "description": description(model),
            "architecture": _architecture(model),
            "endpoints": [endpoint_card(model, one) | figures_card(figures_of(one.id)) for one in model.endpoints],
        }
    }


def description(model: Model) -> str:
    """The author's words, or a sentence made of facts."""
    if model.description:
        return model.description
    made_of, into = " and ".join(model.input_modalities), " and ".join(model.output_modalities)
    return f"{_KINDS[model.kind]} by {model.author}: {made_of} in, {into} out."


def provider_card(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "slug": provider.slug,
        "privacy_policy_url": provider.privacy_policy_url,
        "terms_of_service_url": provider.terms_of_service_url,
        "status_page_url": provider.status_page_url,
        "headquarters": provider.headquarters or None,
        "datacenters": None,
    }


def endpoint_card(model: Model, endpoint: Endpoint) -> dict[str, Any]:
    """What the catalogue says of an endpoint."""
    chooses_tools = "tool_choice" in endpoint.supported_parameters
    return {
        "name": f"{endpoint.provider.name} | {model.id}",
        "model_id": model.id,
        "model_name": model.name,
        "context_length": endpoint.context_length,
        "pricing": _pricing(endpoint.price),
        "provider_name": endpoint.provider.name,
        "tag": endpoint.tag,
        "quantization": endpoint.quantization,
        "max_completion_tokens": endpoint.max_completion_tokens or None,
        "max_prompt_tokens": endpoint.max_prompt_tokens or None,
        "supported_parameters": sorted(endpoint.supported_parameters),
        "supports_implicit_caching": False,
        "supports_tool_choice": dict.fromkeys(_TOOL_CHOICES, chooses_tools),
        "supports_diarization": False,
        "native_tools": {},
        "service_tier": endpoint.service_tier or None,
    }


def figures_card(figures: Figures) -> dict[str, Any]:
    """What is measured of an endpoint: uptimes in per cent, latencies in milliseconds, tokens per second."""
    return {
        "status": figures.status,
        "uptime_last_5m": figures.uptime_5m,
        "uptime_last_30m": figures.uptime_30m,
        "uptime_last_1d": figures.uptime_1d,
        "latency_last_30m": _percentiles(figures.latency_s, 1000),
        "throughput_last_30m": _percentiles(figures.throughput, 1),
    }


def _percentiles(found: Percentiles | None, factor: int) -> dict[str, float] | None:
    if found is None:
        return None
    shown = {"p50": found.p50, "p75": found.p75, "p90": found.p90, "p99": found.p99}
    return {name: round(value * factor, 3) for name, value in shown.items()}


def _architecture(model: Model) -> dict[str, Any]:
    return {
        "modality": f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
        "input_modalities": list(model.input_modalities),
        "output_modalities": list(model.output_modalities),
        "tokenizer": model.tokenizer,
        "instruct_type": None,
    }


def _expiration(model: Model) -> str | None:
    """The day after which no endpoint is left, if all of them end."""
    ends = [one.retires_s for one in model.endpoints]
    return datetime.fromtimestamp(max(ends), UTC).date().isoformat() if all(ends) else None


def _pricing(price: Price) -> dict[str, Any]:
    amounts = {
        "prompt": price.prompt,
        "completion": price.completion,
        "request": price.request,
        "input_cache_read": price.cache_read,
        "input_cache_write": price.cache_write,
        "input_cache_write_1h": price.cache_write_1h,
        "internal_reasoning": price.reasoning,
        **dict(price.others),
    }
    shown: dict[str, Any] = {name: format_price_per_unit(one) for name, one in amounts.items() if one is not None}
    if price.tiers:
        shown["overrides"] = [_override(tier) for tier in price.tiers]
    return shown | {"discount": 0}


def _override(tier: Tier) -> dict[str, Any]:
    amounts = {
        "prompt": tier.prompt,
        "completion": tier.completion,
        "input_cache_read": tier.cache_read,
        "input_cache_write": tier.cache_write,
        "input_cache_write_1h": tier.cache_write_1h,
    }
    prices = {name: format_price_per_unit(one) for name, one in amounts.items() if one is not None}
    return {"min_prompt_tokens": tier.min_prompt_tokens, **prices}

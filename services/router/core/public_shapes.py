"""Models and endpoints in the shapes of the public API (reference api-facts §4).

Owns these shapes, with every field that both generations of the official SDK require. Does not encode them.
Invariant: prices are decimal strings made from integers.
"""

from collections.abc import Mapping
from typing import Any

from libs.money import format_price_per_unit
from services.router.core.catalogue import Catalogue, Endpoint, Model, Price

_TOOL_CHOICES = ("auto", "function", "none", "required")


def models_list(catalogue: Catalogue) -> dict[str, Any]:
    """Every model on offer."""
    data = [_model(model) for model in catalogue.models.values() if model.endpoints]
    return {"data": data, "total_count": len(data), "links": {"next": None}}


def model_endpoints(model: Model) -> dict[str, Any]:
    """One model with its endpoints, which may be none."""
    return {
        "data": {
            "id": model.id,
            "name": model.name,
            "created": model.created_s,
            "description": model.description,
            "architecture": _architecture(model),
            "endpoints": [_endpoint(model, endpoint) for endpoint in model.endpoints],
        }
    }


def _model(model: Model) -> dict[str, Any]:
    cheapest = model.endpoints[0]
    supported = sorted(frozenset().union(*(one.supported_parameters for one in model.endpoints)))
    return {
        "id": model.id,
        "canonical_slug": model.id,
        "hugging_face_id": None,
        "name": model.name,
        "created": model.created_s,
        "description": model.description,
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
        "default_parameters": {},
        "knowledge_cutoff": model.knowledge_cutoff,
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{model.id}/endpoints"},
    }


def _architecture(model: Model) -> dict[str, Any]:
    return {
        "modality": f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
        "input_modalities": list(model.input_modalities),
        "output_modalities": list(model.output_modalities),
        "tokenizer": model.tokenizer,
        "instruct_type": None,
    }


def _endpoint(model: Model, endpoint: Endpoint) -> dict[str, Any]:
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
        "service_tier": None,
        "status": 0,
        "uptime_last_5m": None,
        "uptime_last_30m": None,
        "uptime_last_1d": None,
        "latency_last_30m": None,
        "throughput_last_30m": None,
    }


def _pricing(price: Price) -> Mapping[str, str | int]:
    amounts = {
        "prompt": price.prompt,
        "completion": price.completion,
        "request": price.request,
        "input_cache_read": price.cache_read,
        "input_cache_write": price.cache_write,
        "internal_reasoning": price.reasoning,
    }
    return {name: format_price_per_unit(one) for name, one in amounts.items() if one is not None} | {"discount": 0}

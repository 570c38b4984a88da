"""The `usage` object of replies, written with exact decimals.

Owns its fields in each dialect (reference api-facts §3.1 ChatUsage and CostDetails, §3.5). Invariant: money is printed
from the integer, so the costs of many replies add up exactly.
"""

from libs.money import format_usd
from libs.pricing import Units
from services.edge_proxy.core.metering import Metered
from services.edge_proxy.core.request import CHAT, EMBEDDINGS, RERANK


def usage_json(metered: Metered, operation: str = CHAT, *, is_byok: bool) -> bytes:
    units = metered.units
    if operation == EMBEDDINGS:
        counts = f'"prompt_tokens":{units.prompt_tokens},"total_tokens":{units.prompt_tokens + units.completion_tokens}'
        return f"{{{counts},{_cost(metered, is_byok=is_byok)}}}".encode()
    if operation == RERANK:
        counts = f'"search_units":{units.search_units},"total_tokens":{units.prompt_tokens + units.completion_tokens}'
        return f"{{{counts},{_cost(metered, is_byok=is_byok)}}}".encode()
    return (
        f'{{"prompt_tokens":{units.prompt_tokens},"completion_tokens":{units.completion_tokens},'
        f'"total_tokens":{units.prompt_tokens + units.completion_tokens},{_cost(metered, is_byok=is_byok)},'
        f'"prompt_tokens_details":{{"cached_tokens":{units.cache_read_tokens},'
        f'"cache_write_tokens":{units.cache_write_tokens + units.cache_write_1h_tokens},'
        f'"audio_tokens":{units.prompt_audio_tokens},"video_tokens":0}},'
        f'"completion_tokens_details":{{"reasoning_tokens":{units.reasoning_tokens},'
        f'"audio_tokens":{units.completion_audio_tokens},'
        f'"accepted_prediction_tokens":null,"rejected_prediction_tokens":null}}{_searches(units)}}}'
    ).encode()


def _searches(units: Units) -> str:
    """What the provider did beside writing; under both names of it (reference api-facts §3.1)."""
    if not units.web_searches:
        return ""
    told = f'{{"web_search_requests":{units.web_searches}}}'
    return f',"server_tool_use":{told},"server_tool_use_details":{told}'


def _cost(metered: Metered, *, is_byok: bool) -> str:
    lines = metered.charge
    return (
        f'"cost":{format_usd(lines.total)},"is_byok":{"true" if is_byok else "false"},'
        f'"cost_details":{{"upstream_inference_cost":null,'
        f'"upstream_inference_prompt_cost":{format_usd(lines.prompt)},'
        f'"upstream_inference_completions_cost":{format_usd(lines.completion)}}}'
    )

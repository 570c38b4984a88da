"""The `usage` object of replies, written with exact decimals.

Owns its fields (reference api-facts §3.1, ChatUsage and CostDetails). Invariant: money is printed from the integer, so
the costs of many replies add up exactly.
"""

from libs.money import format_usd
from services.edge_proxy.core.metering import Metered


def usage_json(metered: Metered, *, is_byok: bool) -> bytes:
    units, lines = metered.units, metered.charge
    upstream = "null"
    return (
        f'{{"prompt_tokens":{units.prompt_tokens},"completion_tokens":{units.completion_tokens},'
        f'"total_tokens":{units.prompt_tokens + units.completion_tokens},'
        f'"cost":{format_usd(lines.total)},"is_byok":{"true" if is_byok else "false"},'
        f'"prompt_tokens_details":{{"cached_tokens":{units.cache_read_tokens},'
        f'"cache_write_tokens":{units.cache_write_tokens},"audio_tokens":0,"video_tokens":0}},'
        f'"cost_details":{{"upstream_inference_cost":{upstream},'
        f'"upstream_inference_prompt_cost":{format_usd(lines.prompt)},'
        f'"upstream_inference_completions_cost":{format_usd(lines.completion)}}},'
        f'"completion_tokens_details":{{"reasoning_tokens":{units.reasoning_tokens},"audio_tokens":0,'
        f'"accepted_prediction_tokens":null,"rejected_prediction_tokens":null}}}}'
    ).encode()

"""Prices and token counts as the messages that carry them between services.

Owns the translation alone. Invariant: a price that is absent stays absent, for it inherits.
"""

from switchyard.common.v1.price_pb2 import PriceSnapshot, PriceTier
from switchyard.common.v1.usage_pb2 import TokenUsage

from libs.pricing import Prices, Tier, Units


def prices_from_proto(price: PriceSnapshot) -> Prices:
    return Prices(
        price.prompt,
        price.completion,
        price.request,
        price.cache_read if price.HasField("cache_read") else None,
        price.cache_write if price.HasField("cache_write") else None,
        price.reasoning if price.HasField("reasoning") else None,
        tuple(_tier(one) for one in price.tiers) if price.tiers else (),
        price.cache_write_1h if price.HasField("cache_write_1h") else None,
    )


def _tier(tier: PriceTier) -> Tier:
    return Tier(
        tier.min_prompt_tokens,
        tier.prompt if tier.HasField("prompt") else None,
        tier.completion if tier.HasField("completion") else None,
        tier.cache_read if tier.HasField("cache_read") else None,
        tier.cache_write if tier.HasField("cache_write") else None,
        tier.reasoning if tier.HasField("reasoning") else None,
        tier.cache_write_1h if tier.HasField("cache_write_1h") else None,
    )


def units_from_proto(usage: TokenUsage) -> Units:
    return Units(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.search_units,
        usage.cache_write_1h_tokens,
        usage.prompt_audio_tokens,
        usage.completion_audio_tokens,
        usage.prompt_image_tokens,
        usage.completion_image_tokens,
        usage.web_searches,
    )


def units_to_proto(units: Units) -> TokenUsage:
    return TokenUsage(**units._asdict())

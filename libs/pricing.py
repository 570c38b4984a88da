"""What a generation costs: token counts and a price snapshot in, line items out.

Owns how line items are formed; `libs.money.cost` owns the arithmetic. Does not decide whether anything is charged.
Invariant: token classes are disjoint, so no token is charged twice.
"""

from typing import NamedTuple

from libs.money import MAX_NANO_USD, NanoUsd, NanoUsdPerMillion, cost


class Tier(NamedTuple):
    """Prices of a generation whose prompt has more than so many tokens. None: as without the tier."""

    min_prompt_tokens: int
    prompt: int | None = None
    completion: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    cache_write_1h: int | None = None


class Prices(NamedTuple):
    """Nano-USD per million units.

    None inherits: cache classes from `prompt`, writes for an hour from the other writes, reasoning from `completion`.
    """

    prompt: int
    completion: int
    request: int = 0
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    tiers: tuple[Tier, ...] = ()
    """By rising bound; of those that hold, the last one's word counts for each price (reference behaviour-facts §6)."""
    cache_write_1h: int | None = None


class Units(NamedTuple):
    """Totals, and the parts of them that may be priced apart; the last five are told and have no price of their own.

    `search_units` are searches as providers bill them, each at the price of a request; what is no search is one request.
    `cache_write_1h_tokens` are not among `cache_write_tokens`.
    """

    prompt_tokens: int
    completion_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    search_units: int = 0
    cache_write_1h_tokens: int = 0
    prompt_audio_tokens: int = 0
    completion_audio_tokens: int = 0
    prompt_image_tokens: int = 0
    completion_image_tokens: int = 0
    web_searches: int = 0


class Charge(NamedTuple):
    """Line items in nano-USD."""

    prompt: NanoUsd
    completion: NanoUsd
    request: NanoUsd

    @property
    def total(self) -> NanoUsd:
        return NanoUsd(self.prompt + self.completion + self.request)


_TIERED = frozenset(Tier._fields) - {"min_prompt_tokens"}

FREE = Charge(NanoUsd(0), NanoUsd(0), NanoUsd(0))


def prices_at(prices: Prices, prompt_tokens: int) -> Prices:
    """The prices that hold for a prompt of this size."""
    for tier in prices.tiers:
        if prompt_tokens > tier.min_prompt_tokens:
            given = {name: price for name, price in tier._asdict().items() if price is not None and name in _TIERED}
            prices = prices._replace(**given)
    return prices


def charge(units: Units, prices: Prices) -> Charge:
    """The line items of one generation.

    Raises:
        ValueError: a count is negative, the parts exceed their total, or an amount leaves int64.
    """
    written_1h = units.cache_write_1h_tokens
    plain_prompt = units.prompt_tokens - units.cache_read_tokens - units.cache_write_tokens - written_1h
    plain_completion = units.completion_tokens - units.reasoning_tokens
    if prices.tiers:
        prices = prices_at(prices, units.prompt_tokens)
    if plain_prompt < 0 or plain_completion < 0:
        raise ValueError("parts of a token total exceed it")
    cache_read = prices.prompt if prices.cache_read is None else prices.cache_read
    cache_write = prices.prompt if prices.cache_write is None else prices.cache_write
    cache_write_1h = cache_write if prices.cache_write_1h is None else prices.cache_write_1h
    prompt = _lines(
        (plain_prompt, prices.prompt),
        (units.cache_read_tokens, cache_read),
        (units.cache_write_tokens, cache_write),
        (written_1h, cache_write_1h),
    )
    reasoning = prices.completion if prices.reasoning is None else prices.reasoning
    completion = _lines((plain_completion, prices.completion), (units.reasoning_tokens, reasoning))
    lines = Charge(prompt, completion, cost(units.search_units or 1, NanoUsdPerMillion(prices.request)))
    if lines.total > MAX_NANO_USD:
        raise ValueError("the amount leaves the range of int64")
    return lines


def _lines(*lines: tuple[int, int]) -> NanoUsd:
    """Sums line items; those of one price are one line, rounded once."""
    units_by_price: dict[int, int] = {}
    for units, price in lines:
        if units < 0:
            raise ValueError("a token count is negative")
        units_by_price[price] = units_by_price.get(price, 0) + units
    return NanoUsd(sum(cost(units, NanoUsdPerMillion(price)) for price, units in units_by_price.items()))

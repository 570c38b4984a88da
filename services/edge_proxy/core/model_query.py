"""The query of a list of models: which filters there are, and what a well-formed one is (reference api-facts §4).

Owns names, types and ranges of the query's parameters. Does not know models: the router applies the filters.
Invariant: a parameter that is wrong is a 400 that names it; one that is not known is ignored.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from libs.money import parse_usd
from services.edge_proxy.core.fields import invalid

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 500
_MAX_ITEMS: Final = 64
_MAX_LENGTH: Final = 256
_MAX_NUMBER: Final = 2**53

Query = Mapping[str, Sequence[str]]

INPUT_MODALITIES: Final = frozenset({"text", "image", "file", "audio", "video"})
OUTPUT_MODALITIES: Final = frozenset(
    {"all", "text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription"}
)
SORTS: Final = frozenset(
    {
        "most-popular", "newest", "top-weekly", "pricing-low-to-high", "pricing-high-to-low", "context-high-to-low",
        "throughput-high-to-low", "latency-low-to-high", "intelligence-high-to-low", "coding-high-to-low",
        "agentic-high-to-low", "design-arena-elo-high-to-low",
    }
)  # fmt: skip
CATEGORIES: Final = frozenset(
    {
        "programming", "roleplay", "marketing", "marketing/seo", "technology", "science", "translation", "legal",
        "finance", "health", "trivia", "academia",
    }
)  # fmt: skip
_UNKNOWN_FIGURES: Final = tuple(
    f"{bound}_{figure}"
    for bound in ("min", "max")
    for figure in ("intelligence_index", "coding_index", "agentic_index", "tool_success_rate")
)


class ModelQuery(NamedTuple):
    """Attributes:
    filter: by the names of the router's `ModelFilter`.
    limit: 0: no paging was asked for.
    link: the query without its page, for the link to the next one.
    """

    filter: Mapping[str, Any]
    offset: int
    limit: int
    link: str


def read_model_query(query: Query) -> ModelQuery:
    """Reads the whole query of `GET /models`.

    Raises:
        AppError: INVALID_REQUEST that names the parameter.
    """
    found: dict[str, Any] = {}
    for name, (field, read) in _FILTERS.items():
        value = read(query, name)
        if value is not None:
            found[field] = value
    if any(_number(query, name) is not None for name in _UNKNOWN_FIGURES):
        found["bounds_unknown_figure"] = True
    offset, limit = read_page(query)
    return ModelQuery(found, offset, limit, _link(query))


def read_page(query: Query) -> tuple[int, int]:
    """Offset and limit; the limit is 0 when neither was given."""
    offset, limit = _whole(query, "offset", 0, _MAX_NUMBER), _whole(query, "limit", 1, MAX_LIMIT)
    if offset is None and limit is None:
        return 0, 0
    return min(offset or 0, 2**31 - 1), limit or DEFAULT_LIMIT


def read_output_modalities(query: Query) -> list[str]:
    return _words(OUTPUT_MODALITIES)(query, "output_modalities") or []


def _link(query: Query) -> str:
    pairs = [(name, value) for name, values in query.items() if name not in {"offset", "limit"} for value in values]
    return "&".join(f"{quote(name, safe='')}={quote(value, safe=',')}" for name, value in pairs)


def _text(query: Query, name: str) -> str | None:
    values = query.get(name)
    if not values or not values[-1]:
        return None
    if len(values[-1]) > _MAX_LENGTH:
        raise invalid(name, f"must be at most {_MAX_LENGTH} characters")
    return values[-1]


def _words(allowed: frozenset[str] | None = None) -> Callable[[Query, str], list[str] | None]:
    """A reader of lists, given with commas, again and again, or both."""

    def read(query: Query, name: str) -> list[str] | None:
        words = [word.strip() for value in query.get(name, ()) for word in value.split(",") if word.strip()]
        if len(words) > _MAX_ITEMS or any(len(word) > _MAX_LENGTH for word in words):
            raise invalid(name, f"must be at most {_MAX_ITEMS} names of at most {_MAX_LENGTH} characters")
        for word in words:
            if allowed is not None and word not in allowed:
                raise invalid(name, f"must be of {', '.join(sorted(allowed))}")
        return words or None

    return read


def _member(allowed: frozenset[str]) -> Callable[[Query, str], str | None]:
    def read(query: Query, name: str) -> str | None:
        value = _text(query, name)
        if value is not None and value not in allowed:
            raise invalid(name, f"must be one of {', '.join(sorted(allowed))}")
        return value

    return read


def _flag(query: Query, name: str) -> bool | None:
    value = _text(query, name)
    if value is not None and value not in {"true", "false"}:
        raise invalid(name, "must be true or false")
    return None if value is None else value == "true"


def _whole(query: Query, name: str, low: int, high: int) -> int | None:
    text = _text(query, name)
    if text is None or text == "null":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not low <= int(text) <= high:
        raise invalid(name, f"must be an integer between {low} and {high}")
    return int(text)


def _count(low: int) -> Callable[[Query, str], int | None]:
    return lambda query, name: _whole(query, name, low, _MAX_NUMBER)


def _number(query: Query, name: str) -> Decimal | None:
    text = _text(query, name)
    if text is None or text == "null":
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise invalid(name, "must be a number") from None
    if not value.is_finite() or not 0 <= value <= _MAX_NUMBER:
        raise invalid(name, "must be a number from 0")
    return value


def _price(query: Query, name: str) -> int | None:
    """USD per million tokens, as an integer of nano-USD per million."""
    value = _number(query, name)
    if value is None:
        return None
    try:
        return parse_usd(format(value, "f"))
    except ValueError:
        raise invalid(name, "must be a price in USD per million tokens, at most 9 decimals") from None


_FILTERS: Final[Mapping[str, tuple[str, Callable[[Query, str], Any]]]] = {
    "output_modalities": ("output_modalities", _words(OUTPUT_MODALITIES)),
    "input_modalities": ("input_modalities", _words(INPUT_MODALITIES)),
    "supported_parameters": ("supported_parameters", _words()),
    "model_authors": ("model_authors", _words()),
    "providers": ("providers", _words()),
    "q": ("search", _text),
    "arch": ("architecture", _text),
    "category": ("category", _member(CATEGORIES)),
    "region": ("region", _member(frozenset({"eu", "us"}))),
    "zdr": ("zdr", _flag),
    "distillable": ("distillable", _flag),
    "context": ("min_context_length", _count(1)),
    "min_price": ("min_prompt_price", _price),
    "max_price": ("max_prompt_price", _price),
    "min_output_price": ("min_completion_price", _price),
    "max_output_price": ("max_completion_price", _price),
    "min_age_days": ("min_age_days", _count(0)),
    "max_age_days": ("max_age_days", _count(0)),
    "sort": ("sort", _member(SORTS)),
}

"""Checks embed and rerank requests field by field.

Owns what Cohere refuses. Does not read the requests (embed_format.py, rerank_format.py). Invariant: unknown and ill-typed
fields are refused; what passes here can be counted and answered.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.strict import (
    Check,
    Path,
    fields,
    filled,
    integer,
    items,
    one_of,
    tagged,
    text,
    wrong,
)

_MOST_INPUTS = 96
_MOST_DOCUMENTS = 10_000
_DIMENSIONS = (256, 512, 1024, 1536)


def _data_uri(where: Path, value: Any) -> None:
    text(where, value)
    if not value.startswith("data:image/"):
        raise wrong(where, "image must be a data uri")


def _dimension(where: Path, value: Any) -> None:
    if value not in _DIMENSIONS or isinstance(value, bool):
        raise wrong(where, f"output_dimension must be one of {', '.join(map(str, _DIMENSIONS))}")


_KIND: Check = text
_ITEM = tagged(
    {
        "text": fields({"type": _KIND, "text": filled}, ["text"]),
        "image_url": fields({"type": _KIND, "image_url": fields({"url": _data_uri}, ["url"])}, ["image_url"]),
    }
)
_EMBED = fields(
    {
        "model": filled,
        "input_type": one_of("search_document", "search_query", "classification", "clustering", "image"),
        "texts": items(text, least=1, most=_MOST_INPUTS),
        "images": items(_data_uri, least=1, most=_MOST_INPUTS),
        "inputs": items(fields({"content": items(_ITEM, least=1)}, ["content"]), least=1, most=_MOST_INPUTS),
        "max_tokens": integer(1, 2**31),
        "output_dimension": _dimension,
        "embedding_types": items(one_of("float", "int8", "uint8", "binary", "ubinary", "base64"), least=1),
        "truncate": one_of("NONE", "START", "END"),
        "priority": integer(0, 999),
    },
    ["model", "input_type"],
)
_RERANK = fields(
    {
        "model": filled,
        "query": filled,
        "documents": items(text, least=1, most=_MOST_DOCUMENTS),
        "top_n": integer(1, 2**31),
        "max_tokens_per_doc": integer(1, 2**31),
        "relevant_spans": fields({"mode": one_of("enabled", "disabled")}, ["mode"]),
        "priority": integer(0, 999),
    },
    ["model", "query", "documents"],
)


def check_embed(body: Any) -> None:
    """Checks an embed request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _EMBED((), body)
    given = [name for name in ("texts", "images", "inputs") if name in body]
    if len(given) != 1:
        raise wrong((), "exactly one of texts, images and inputs must be provided")
    if "output_dimension" in body and "v3" in body["model"]:
        raise wrong(("output_dimension",), "output_dimension is not supported for this model")


def check_rerank(body: Mapping[str, Any]) -> None:
    """Checks a rerank request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    _RERANK((), body)

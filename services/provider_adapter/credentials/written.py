"""Credentials that are objects, as an operator writes them into one setting."""

from typing import Any

import orjson


def texts_in(credential: str) -> dict[str, str]:
    """The fields of a JSON object that are text and not empty; none of what is no object to read."""
    try:
        fields: dict[str, Any] = orjson.loads(credential)
    except orjson.JSONDecodeError:
        return {}
    return {name: value for name, value in fields.items() if isinstance(value, str) and value}

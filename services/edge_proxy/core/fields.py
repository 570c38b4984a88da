"""Checks of single fields of a JSON request, each with an error that names the field.

Owns types and ranges. Does not know any request. Invariant: null in an optional field is as if absent (DESIGN §11).
"""

from collections.abc import Mapping
from typing import Any

from libs.errors import AppError, Kind

Json = Any
Object = Mapping[str, Json]


def invalid(field: str, problem: str) -> AppError:
    """The 400 that names a field."""
    return AppError(Kind.INVALID, "INVALID_REQUEST", f"{field}: {problem}", {"field": field})


def text(source: Object, name: str, *, max_length: int | None = None, path: str = "") -> str | None:
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(path + name, "must be a string")
    if max_length is not None and len(value) > max_length:
        raise invalid(path + name, f"must be at most {max_length} characters")
    return value


def flag(source: Object, name: str, *, path: str = "") -> bool | None:
    value = source.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise invalid(path + name, "must be a boolean")


def whole(source: Object, name: str, low: int, high: int, *, path: str = "") -> int | None:
    value = source.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(path + name, "must be an integer")
    if not low <= value <= high:
        raise invalid(path + name, f"must be between {low} and {high}")
    return value


def number(source: Object, name: str, low: float, high: float, *, path: str = "") -> float | None:
    value = source.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(path + name, "must be a number")
    if not low <= value <= high:
        raise invalid(path + name, f"must be between {low:g} and {high:g}")
    return value


def member(source: Object, name: str, allowed: frozenset[str], *, path: str = "") -> str | None:
    value = text(source, name, path=path)
    if value is not None and value not in allowed:
        raise invalid(path + name, f"must be one of {', '.join(sorted(allowed))}")
    return value


def mapping(source: Object, name: str, *, path: str = "") -> Object | None:
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid(path + name, "must be an object")
    return value


def items(source: Object, name: str, *, max_items: int, path: str = "") -> list[Json] | None:
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise invalid(path + name, "must be an array")
    if len(value) > max_items:
        raise invalid(path + name, f"must have at most {max_items} items")
    return value


def texts(source: Object, name: str, *, max_items: int, max_length: int = 256, path: str = "") -> list[str] | None:
    values = items(source, name, max_items=max_items, path=path)
    if values is None:
        return None
    for index, value in enumerate(values):
        if not isinstance(value, str) or len(value) > max_length:
            raise invalid(f"{path}{name}.{index}", f"must be a string of at most {max_length} characters")
    return values

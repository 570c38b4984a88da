"""Reading one JSON object field by field, with complaints that name file, path and field.

Owns what a well-formed field is. Does not know the catalogue. Invariant: a field that nobody asked for is an error.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import orjson

from libs.money import NanoUsdPerMillion, parse_price_per_unit

MAX_COUNT = 2**53 - 1
MAX_TEXT = 4096
MAX_LIST = 10_000


class CatalogueError(Exception):
    """The catalogue's files are wrong; says where and what."""

    def __init__(self, file: str, path: str, name: str, problem: str) -> None:
        self.file = file
        self.path = path
        self.field = name
        self.problem = problem
        place = ".".join(part for part in (path, name) if part)
        super().__init__(f"{file}: {place}: {problem}" if place else f"{file}: {problem}")


class Fields:
    """One JSON object at one place of one file."""

    def __init__(self, value: Any, file: str, path: str) -> None:
        self._file = file
        self._path = path
        if not isinstance(value, dict):
            raise CatalogueError(file, path, "", "must be an object")
        self._left: dict[str, Any] = dict(value)

    def error(self, name: str, problem: str) -> CatalogueError:
        return CatalogueError(self._file, self._path, name, problem)

    def end(self) -> None:
        """To be called when everything known was read."""
        if self._left:
            raise self.error(min(self._left), "is not a known field")

    def text(self, name: str, default: str | None = None) -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str) or (not value and value != default) or len(value) > MAX_TEXT:
            raise self.error(name, f"must be a text of 1 to {MAX_TEXT} characters")
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if self._left.get(name) is not None else self._left.pop(name, None)

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number from 1; the default may be 0."""
        if default is not None and name not in self._left:
            return default
        value = self._left.pop(name, None)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_COUNT:
            raise self.error(name, "must be a whole number from 1")
        return value

    def choice(self, name: str, allowed: Collection[str], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in allowed and value != default:
            raise self.error(name, f"is not one of {', '.join(sorted(allowed))}: {value!r}")
        return value

    def moment(self, name: str) -> int:
        """A day or a time in ISO 8601, UTC unless it says otherwise, in Unix seconds; 0 when it is absent."""
        if name not in self._left:
            return 0
        text = self.text(name)
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise self.error(name, f"is not a day or time such as 2026-12-31: {text!r}") from None
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())

    def names(self) -> list[str]:
        """The fields that were not read yet."""
        return list(self._left)

    def has(self, name: str) -> bool:
        """Whether it is there and was not read yet."""
        return name in self._left

    def answer(self, name: str) -> bool | None:
        """True, false, or null for unknown."""
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise self.error(name, "must be true, false or null")
        return value

    def texts(self, name: str, allowed: Collection[str] | None = None) -> tuple[str, ...]:
        value = self._left.pop(name, [])
        if not isinstance(value, list) or len(value) > MAX_LIST:
            raise self.error(name, f"must be a list of at most {MAX_LIST}")
        for index, item in enumerate(value):
            if not isinstance(item, str) or not 0 < len(item) <= MAX_TEXT:
                raise self.error(f"{name}[{index}]", f"must be a text of 1 to {MAX_TEXT} characters")
            if allowed is not None and item not in allowed:
                raise self.error(f"{name}[{index}]", f"is not one of {', '.join(sorted(allowed))}: {item!r}")
        return tuple(value)

    def parameters(self, name: str, allowed: Collection[str]) -> dict[str, Any]:
        """Values of request parameters, by their names."""
        value = self._left.pop(name, {})
        if not isinstance(value, dict):
            raise self.error(name, "must be an object")
        for parameter in value:
            if parameter not in allowed:
                raise self.error(name, f"is not one of {', '.join(sorted(allowed))}: {parameter!r}")
        if len(orjson.dumps(value)) > MAX_TEXT:
            raise self.error(name, f"must be at most {MAX_TEXT} bytes of JSON")
        return value

    def price(self, name: str) -> NanoUsdPerMillion:
        value = self._left.pop(name, None)
        if not isinstance(value, str):
            raise self.error(name, "must be a decimal text in USD per unit")
        try:
            return parse_price_per_unit(value)
        except ValueError as error:
            raise self.error(name, str(error)) from None

    def optional_price(self, name: str) -> NanoUsdPerMillion | None:
        return self.price(name) if name in self._left else None

    def object(self, name: str) -> "Fields":
        return Fields(self._left.pop(name, None), self._file, f"{self._path}.{name}" if self._path else name)

    def optional_objects(self, name: str) -> list["Fields"]:
        return self.objects(name) if name in self._left else []

    def objects(self, name: str) -> list["Fields"]:
        value = self._left.pop(name, None)
        if not isinstance(value, list) or not 0 < len(value) <= MAX_LIST:
            raise self.error(name, f"must be a list of 1 to {MAX_LIST} objects")
        prefix = f"{self._path}.{name}" if self._path else name
        return [Fields(item, self._file, f"{prefix}[{index}]") for index, item in enumerate(value)]

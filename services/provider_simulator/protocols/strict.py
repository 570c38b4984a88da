"""Checks of JSON that take nothing unknown and nothing of a wrong type, to be put together per format.

Owns the single checks and where they failed. Does not word refusals: each format does. Invariant: a check either passes
or raises InvalidError; it never changes what it looks at.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

Path = tuple[str | int, ...]
Check = Callable[[Path, Any], None]


class Problem(Enum):
    """What is wrong with a value."""

    UNKNOWN = "unknown field"
    MISSING = "missing field"
    VALUE = "wrong value"


class InvalidError(Exception):
    """A value is not as it must be; `where` leads to it."""

    def __init__(self, where: Path, problem: Problem, words: str) -> None:
        super().__init__(words)
        self.where = where
        self.problem = problem
        self.words = words


def wrong(where: Path, words: str) -> InvalidError:
    return InvalidError(where, Problem.VALUE, words)


def text(where: Path, value: Any) -> None:
    if not isinstance(value, str):
        raise wrong(where, "Input should be a valid string")


def filled(where: Path, value: Any) -> None:
    text(where, value)
    if not value.strip():
        raise wrong(where, "Input should not be empty or blank")


def boolean(where: Path, value: Any) -> None:
    if not isinstance(value, bool):
        raise wrong(where, "Input should be a valid boolean")


def anything(where: Path, value: Any) -> None:
    """A field whose value is not looked at."""


def mapping(where: Path, value: Any) -> None:
    if not isinstance(value, dict):
        raise wrong(where, "Input should be an object")


def matching(pattern: re.Pattern[str]) -> Check:
    def check(where: Path, value: Any) -> None:
        text(where, value)
        if pattern.fullmatch(value) is None:
            raise wrong(where, f"String should match pattern '^{pattern.pattern}$'")

    return check


def integer(least: int, most: int) -> Check:
    def check(where: Path, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(where, "Input should be a valid integer")
        if not least <= value <= most:
            raise wrong(where, f"Input should be from {least} to {most}")

    return check


def number(least: float, most: float) -> Check:
    def check(where: Path, value: Any) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong(where, "Input should be a valid number")
        if not least <= value <= most:
            raise wrong(where, f"Input should be from {least} to {most}")

    return check


def nullable(check_value: Check) -> Check:
    """The same, or null."""

    def check(where: Path, value: Any) -> None:
        if value is not None:
            check_value(where, value)

    return check


def one_of(*choices: str) -> Check:
    def check(where: Path, value: Any) -> None:
        if value not in choices:
            raise wrong(where, f"Input should be one of {', '.join(choices)}")

    return check


def base64_text(where: Path, value: Any) -> None:
    text(where, value)
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(where, "Input should be valid base64") from None
    if not value:
        raise wrong(where, "Input should not be empty")


def items(check_item: Check, least: int = 0, most: int = 100_000) -> Check:
    def check(where: Path, value: Any) -> None:
        if not isinstance(value, list):
            raise wrong(where, "Input should be a valid list")
        if not least <= len(value) <= most:
            raise wrong(where, f"List should have from {least} to {most} items")
        for place, item in enumerate(value):
            check_item((*where, place), item)

    return check


def fields(known: Mapping[str, Check], required: Sequence[str] = ()) -> Check:
    def check(where: Path, value: Any) -> None:
        mapping(where, value)
        for name in required:
            if name not in value:
                raise InvalidError((*where, name), Problem.MISSING, "Field required")
        for name, inner in value.items():
            if name not in known:
                raise InvalidError((*where, name), Problem.UNKNOWN, "Extra inputs are not permitted")
            known[name]((*where, name), inner)

    return check


def tagged(variants: Mapping[str, Check], tag: str = "type") -> Check:
    """An object whose `type` says which fields it has."""

    def check(where: Path, value: Any) -> None:
        mapping(where, value)
        kind = value.get(tag)
        variant = variants.get(kind) if isinstance(kind, str) else None
        if variant is None:
            raise wrong((*where, tag), f"Input tag should be one of {', '.join(variants)}")
        variant(where, value)

    return check


def union(variants: Mapping[str, Check]) -> Check:
    """An object of exactly one member, whose name says what it is."""

    def check(where: Path, value: Any) -> None:
        mapping(where, value)
        for name in value:
            if name not in variants:
                raise InvalidError((*where, name), Problem.UNKNOWN, "Extra inputs are not permitted")
        if len(value) != 1:
            raise wrong(where, f"Exactly one of {', '.join(variants)} must be set")
        for name, inner in value.items():
            variants[name]((*where, name), inner)

    return check


def text_or(check_other: Check) -> Check:
    def check(where: Path, value: Any) -> None:
        if not isinstance(value, str):
            check_other(where, value)

    return check


def dotted(where: Path) -> str:
    """`messages.0.content.1.text`."""
    return ".".join(map(str, where))


def bracketed(where: Path) -> str:
    """`contents[0].parts[1].text`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).lstrip(".")

"""The verdict on a reply's tool calls: whether they are calls of the request's tools with arguments that fit.

Owns the kinds of verdicts and their order (reference behaviour-facts §1.6). Knows no wire format and no stream.
Invariant: a verdict names a kind and nothing of the calls; what cannot be judged fairly is not judged.

Not judged are: a reply that was cut short, for its caller or a filter cut it; calls of a tool whose schema cannot be used,
be they good or bad, since bad ones alone would count otherwise; names in a request whose other tools are the
provider's own, for those may bear any name.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import orjson

from services.provider_adapter.tool_calls.replies import Call, ReplyCalls
from services.provider_adapter.tool_calls.schemas import Patience, Schemas

_CUT_SHORT: Final = frozenset({"length", "content_filter", "error"})


class Verdict(StrEnum):
    """What is said of a reply's calls."""

    NONE = "none"
    """There are none."""
    VALID = "valid"
    INVALID_JSON = "invalid_json"
    UNKNOWN_NAME = "unknown_name"
    SCHEMA_MISMATCH = "schema_mismatch"
    NOT_JUDGED = "not_judged"


def judge(tools: Any, calls: Iterable[Call], schemas: Schemas) -> Verdict:
    """The first call's trouble, if any has one.

    Args:
        tools: of the request, as its caller wrote them.
        calls: of the reply.
        schemas: what was made ready earlier.
    """
    by_name, others = _by_name(tools)
    patience = Patience()
    verdict = Verdict.NONE
    for call in calls:
        if call.name in by_name:
            one = _judged(by_name[call.name], call, schemas, patience)
        else:
            one = Verdict.NOT_JUDGED if others else Verdict.UNKNOWN_NAME
        if one not in {Verdict.VALID, Verdict.NOT_JUDGED}:
            return one
        verdict = one if verdict is not Verdict.NOT_JUDGED else verdict
    return verdict


def _judged(function: Mapping[str, Any], call: Call, schemas: Schemas, patience: Patience) -> Verdict:
    schema = schemas.find(function.get("parameters"), patience)
    if schema is None:
        return Verdict.NOT_JUDGED
    text = call.arguments.strip() or "{}"  # some hosts write nothing where nothing is to be said
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Verdict.INVALID_JSON
    if not isinstance(arguments, dict):
        return Verdict.INVALID_JSON
    fits = schema.fits(arguments, len(text), patience)
    if fits is None:
        return Verdict.NOT_JUDGED
    return Verdict.VALID if fits else Verdict.SCHEMA_MISMATCH


def _by_name(tools: Any) -> tuple[dict[str, Mapping[str, Any]], bool]:
    """Functions by name, and whether there are tools of kinds that the provider names."""
    by_name: dict[str, Mapping[str, Any]] = {}
    others = False
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str) and isinstance(function, dict):
            by_name.setdefault(name, function)
        else:
            others = True
    return by_name, others


class ReplyJudge:
    """Looks on while a reply goes out, and gives its verdict in the end.

    Args:
        tools: of the request.
        schemas: of the process.
    """

    __slots__ = ("_calls", "_schemas", "_tools")

    def __init__(self, tools: Any, schemas: Schemas) -> None:
        self._tools = tools
        self._schemas = schemas
        self._calls = ReplyCalls()

    def feed(self, sse: bytes) -> None:
        """Takes what has gone out of a stream."""
        self._calls.feed(sse)

    def read(self, reply: bytes) -> None:
        """Takes a whole reply."""
        self._calls.read(reply)

    def verdict(self, finish_reason: str) -> Verdict:
        """What is to be said of the whole.

        Args:
            finish_reason: of the first choice, in the gateway's words.
        """
        if not self._calls:
            return Verdict.NONE
        if self._calls.is_too_much or finish_reason in _CUT_SHORT:
            return Verdict.NOT_JUDGED
        return judge(self._tools, self._calls.all(), self._schemas)

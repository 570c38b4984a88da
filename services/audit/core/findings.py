"""What an audit found, as values and as text.

Owns the report's shape and the exit status. Does not look anything up. Invariant: what merely waits in a spool or for a
consumer is never called a difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SHOWN_MAX = 10


class State(StrEnum):
    AGREES = "agrees"
    WAITING = "waiting"
    NOTICE = "notice"
    NOT_CHECKED = "not checked"
    DIFFERS = "DIFFERS"


@dataclass(frozen=True, slots=True)
class Example:
    """One row that does not agree; amounts are nano-USD."""

    subject: str
    found: int | None
    expected: int | None

    def __str__(self) -> str:
        return f"{self.subject}: {_amount(self.found)}, should be {_amount(self.expected)}"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    count: int = 0
    examples: Sequence[Example] = ()
    """At most `SHOWN_MAX` of `count`."""
    remark: str = ""


def is_clean(findings: Sequence[Finding]) -> bool:
    return all(finding.state is not State.DIFFERS for finding in findings)


def render(findings: Sequence[Finding]) -> str:
    """The report: one line per check, examples below it, the verdict last."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines: list[str] = []
    for finding in findings:
        words = [str(finding.state)]
        if finding.count:
            words.append(str(finding.count))
        if finding.remark:
            words.append(f"({finding.remark})")
        lines.append(f"{finding.check:<{width}}  {' '.join(words)}")
        lines.extend(f"    {example}" for example in finding.examples)
    lines.append("The books balance." if is_clean(findings) else "The books DO NOT balance.")
    return "\n".join(lines)


def _amount(value: int | None) -> str:
    return "nothing" if value is None else str(value)

"""Trace and span ids as OpenTelemetry wants them, out of whatever callers send.

Owns their form. Invariant: an id is 32 or 16 lower-case hex digits, never all zero, and the same for the same input, so
that a receiver which gets a span twice knows it.
"""

import hashlib
import json
import re

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")


def trace_id_as_given(text: str) -> str | None:
    """The id that the text spells, with or without the dashes of a UUID; None when it spells none."""
    candidate = text.strip().lower().replace("-", "")
    return candidate if _TRACE_ID.fullmatch(candidate) and candidate.strip("0") else None


def span_id_as_given(text: str) -> str | None:
    candidate = text.strip().lower()
    return candidate if _SPAN_ID.fullmatch(candidate) and candidate.strip("0") else None


def trace_id_of(name: str) -> str:
    """The id for any other name of a trace."""
    return _digest("trace", name)[:32]


def span_id_of(kind: str, *names: str) -> str:
    """The id of a span that we make; kinds and names tell them apart."""
    return _digest(kind, *names)[:16]


def _digest(*parts: str) -> str:
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return digest if digest[:16].strip("0") else "1" + digest[1:]

"""The errors that calls end with, when it is the transport that ends them; and what hides those that nobody typed.

Owns their reasons. Does not carry them over any wire. Invariant: nothing but an `AppError` ever reaches a caller.
"""

import logging

from libs.errors import AppError, Kind, internal, unavailable
from libs.logs import facts

NOT_SENT = {"sent": "false"}
"""Metadata of a call that was certainly not executed."""

_log = logging.getLogger(__name__)


def deadline_exceeded() -> AppError:
    return AppError(Kind.TIMEOUT, "DEADLINE_EXCEEDED", "The call took longer than the time it was given.")


def method_unknown(path: str) -> AppError:
    return AppError(Kind.MISSING, "METHOD_UNKNOWN", f"There is no method {path[:200]!r}.", NOT_SENT)


def request_malformed() -> AppError:
    return AppError(Kind.INVALID, "REQUEST_MALFORMED", "The request is not a message of the method's type.", NOT_SENT)


def message_too_large(limit_bytes: int) -> AppError:
    return AppError(Kind.TOO_LARGE, "MESSAGE_TOO_LARGE", f"A message is larger than {limit_bytes} bytes.")


def too_many_calls() -> AppError:
    message = "Too many calls are in flight on this session."
    return AppError(Kind.OVERLOADED, "TOO_MANY_CALLS", message, NOT_SENT, retry_after_s=1.0)


def draining() -> AppError:
    """Answer of a server on its way down; it never began the call."""
    return AppError(Kind.NO_ROUTE, "SERVICE_UNAVAILABLE", "The service is shutting down.", NOT_SENT, retry_after_s=1.0)


def not_connected(peer: str) -> AppError:
    error = unavailable(peer)
    return AppError(error.kind, error.reason, error.message, {**error.metadata, **NOT_SENT}, error.retry_after_s)


def peer_lost(peer: str, *, sent: bool) -> AppError:
    """The session ended under a call; `sent` says whether the whole request may have reached the peer."""
    message = "The connection to a part of the service was lost. Please retry."
    metadata = {"service": peer, "sent": "true" if sent else "false"}
    return AppError(Kind.NO_ROUTE, "PEER_LOST", message, metadata, retry_after_s=1.0)


def protocol_broken(peer: str) -> AppError:
    return AppError(Kind.INTERNAL, "PROTOCOL_BROKEN", "A peer broke the protocol.", {"service": peer})


def hidden(error: Exception, path: str) -> AppError:
    """The bare internal error that stands for one nobody typed; call while handling it, the traceback is logged."""
    _log.error("call failed unexpectedly", exc_info=error, extra=facts(method=path))
    return internal()

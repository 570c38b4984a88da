"""Logs: one JSON object per line on stderr, a constant message, data in fields.

Owns the format. Does not decide what is worth a line. Invariant: `extra={"data": {…}}` holds facts and figures, never
prompts, completions or keys.
"""

import asyncio
import json
import logging
import sys
from contextlib import nullcontext
from typing import TextIO

import orjson

from libs.clock import Clock, SystemClock


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, message, then the fields of `data`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time_ms": int(record.created * 1000),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        data = getattr(record, "data", None)
        if isinstance(data, dict):
            line.update(data)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # lone surrogates, endless integers: the line matters more than its form
            return json.dumps(
                {str(name): value if isinstance(value, int) else str(value) for name, value in line.items()}
            )


class TurnHandler(logging.StreamHandler[TextIO]):
    """Writes the lines of one turn of the event loop together; without a loop, and from warnings on, at once."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.append(self.format(record))
            if record.levelno >= logging.WARNING:
                self.flush()
            elif len(self._waiting) == 1:
                asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:  # no loop runs in this thread
            self.flush()
        except Exception:  # noqa: BLE001 (a line that cannot be written must not end what it is about)
            self.handleError(record)

    def flush(self) -> None:
        with self.lock or nullcontext():
            lines, self._waiting = self._waiting, []
            if lines:
                self.stream.write("\n".join([*lines, ""]))
            super().flush()


def set_up_logs(service: str, level: str, stream: TextIO | None = None) -> None:
    """Points the root logger at one stream. Call once, in main."""
    handler = TurnHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    # What no line of ours shows need not be found out per line (logging's documentation, "Optimization").
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for noisy in ("aiohttp.access", "asyncio", "grpc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_is_no_broken_connection)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # repeats every outage that we report ourselves


def _is_no_broken_connection(record: logging.LogRecord) -> bool:
    """Aiohttp reports callers who left in the middle of a reply as errors of ours."""
    return not (record.exc_info and isinstance(record.exc_info[1], ConnectionError))


def facts(**data: object) -> dict[str, dict[str, object]]:
    """`logger.info("request", extra=facts(status=200))`."""
    return {"data": data}


class Throttled:
    """Logs the same warning at most once per interval, with how often it was left out."""

    def __init__(self, logger: logging.Logger, interval_s: float = 10.0, clock: Clock | None = None) -> None:
        self._logger = logger
        self._interval_s = interval_s
        self._clock = clock or SystemClock()
        self._next_s = 0.0
        self._left_out = 0

    def warning(self, message: str, **data: object) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            self._left_out += 1
            return
        self._logger.warning(message, extra=facts(**data, left_out=self._left_out))
        self._next_s = now_s + self._interval_s
        self._left_out = 0

"""Logs: one JSON object per line, whatever the data; the same warning once per interval."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from libs.clock import ManualClock
from libs.logs import JsonFormatter, Throttled, facts, set_up_logs


class Lines(logging.Handler):
    """Collects formatted lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("example"))
        self.lines: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        assert "\n" not in text
        self.lines.append(json.loads(text))


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def logger(lines: Lines) -> Iterator[logging.Logger]:
    made = logging.getLogger("tests.example")
    made.propagate = False
    made.setLevel(logging.DEBUG)
    made.addHandler(lines)
    yield made
    made.removeHandler(lines)


def format_data(data: dict[Any, Any]) -> Any:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "message", None, None)
    record.data = data
    text = JsonFormatter("example").format(record)
    text.encode()
    assert "\n" not in text
    return json.loads(text)


def test_line_says_when_who_what_and_the_facts(logger: logging.Logger, lines: Lines) -> None:
    logger.info("request", extra=facts(status=200, route="/x"))
    line = lines.lines[0]
    assert line["time_ms"] > 1_700_000_000_000
    assert (line["level"], line["service"], line["logger"]) == ("INFO", "example", "tests.example")
    assert (line["message"], line["status"], line["route"]) == ("request", 200, "/x")


def test_exception_is_a_field_on_the_same_line(logger: logging.Logger, lines: Lines) -> None:
    try:
        raise ValueError("it broke\nin two lines")
    except ValueError:
        logger.exception("failed")
    assert "ValueError: it broke\nin two lines" in lines.lines[0]["traceback"]
    assert lines.lines[0]["level"] == "ERROR"


@pytest.mark.parametrize(
    "value",
    [
        2**70,
        -(2**70),
        "\ud800",
        "caf\udce9",
        object(),
        {1: 2},
        {("a", "b"): 1},
        {"a", "b"},
        b"bytes",
        1e400,
        SecretStr("x"),
    ],
)
def test_value_of_any_kind_makes_a_line(value: Any) -> None:
    assert "value" in format_data({"value": value})


def test_exception_whose_text_is_no_unicode_makes_a_line(logger: logging.Logger, lines: Lines) -> None:
    try:
        raise ValueError("\udcff")
    except ValueError:
        logger.exception("failed")
    assert "ValueError" in lines.lines[0]["traceback"]


@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)
    )
)
def test_any_data_makes_one_line(data: dict[str, Any]) -> None:
    assert isinstance(format_data(data), dict)


def test_secret_values_do_not_print() -> None:
    assert "hunter2" not in json.dumps(format_data({"key": SecretStr("hunter2")}))


def test_set_up_points_everything_at_one_stream_and_quiets_the_noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    noisy = {name: logging.getLogger(name).level for name in ("aiohttp.access", "asyncio", "grpc", "aiokafka")}
    stream = io.StringIO()
    try:
        set_up_logs("example", "INFO", stream)
        set_up_logs("example", "INFO", stream)
        logging.getLogger("anything").info("shown")
        logging.getLogger("anything").debug("hidden")
        logging.getLogger("aiohttp.access").info("hidden")
        logging.getLogger("aiokafka").warning("hidden")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        for name, old in noisy.items():
            logging.getLogger(name).setLevel(old)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["shown"]


@pytest.fixture
def root() -> Iterator[None]:
    """The root logger, as it was afterwards."""
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.mark.usefixtures("root")
def test_callers_who_left_are_no_errors_of_ours_and_other_exceptions_are() -> None:
    stream = io.StringIO()
    set_up_logs("example", "INFO", stream)
    server = logging.getLogger("aiohttp.server")
    for error in ConnectionResetError("the caller left"), KeyError("ours"):
        try:
            raise error
        except (ConnectionError, KeyError):
            server.exception("Error handling request")
    assert [json.loads(line)["traceback"].splitlines()[-1] for line in stream.getvalue().splitlines()] == [
        "KeyError: 'ours'"
    ]


def test_logs_go_to_standard_error_unless_told_otherwise() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        set_up_logs("example", "WARNING")
        handler = root.handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        assert handler.stream is sys.stderr
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def test_repeated_warning_is_logged_once_per_interval_with_how_often_it_was_left_out(
    logger: logging.Logger, lines: Lines
) -> None:
    clock = ManualClock()
    throttled = Throttled(logger, interval_s=10.0, clock=clock)
    for _ in range(5):
        throttled.warning("away", peer="router")
    clock.advance(9.9)
    throttled.warning("away", peer="router")
    assert [(line["peer"], line["left_out"]) for line in lines.lines] == [("router", 0)]
    clock.advance(0.2)
    throttled.warning("away", peer="router")
    assert [line["left_out"] for line in lines.lines] == [0, 5]

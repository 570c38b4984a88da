from collections.abc import Sequence

import pytest

from libs.bus.memory import MemoryEventLog
from libs.bus.port import EventLog
from tests.testkit.event_log_conformance import IMPATIENT, EventLogConformance, Subject


class _Memory:
    """One log that all share, for memory has no other processes; each opening closes the last one's loops with it."""

    def __init__(self) -> None:
        self._first = MemoryEventLog(policy=IMPATIENT)

    async def open(self) -> EventLog:
        return self._first.another()

    async def create(self, topics: Sequence[str]) -> None:
        """Topics come into being by use."""


class TestMemoryEventLog(EventLogConformance):
    @pytest.fixture
    async def subject(self) -> Subject:
        return _Memory()

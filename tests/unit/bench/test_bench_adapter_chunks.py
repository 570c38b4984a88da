import pytest

from services.provider_adapter.protocols.table import protocols
from tests.bench.adapter_chunks import WIRES, split
from tests.bench.goals import goals
from tests.bench.stages import Findings
from tests.testkit.provider_wires import Reply


@pytest.mark.parametrize("name", list(WIRES))
def test_a_stream_is_split_into_its_events_and_nothing_is_lost(name: str) -> None:
    raw = WIRES[name]().stream(Reply(words=("a", "b", "c")))

    events = split(raw)

    assert b"".join(events) == raw
    assert len(events) >= 4


def test_every_format_that_chats_is_measured() -> None:
    assert set(WIRES) == {name for name, operation in protocols() if operation == "chat"}


def test_the_dearer_kind_of_chunk_is_held_against_the_goal_of_its_format() -> None:
    findings = Findings(chunks_us={"openai": {"text": 1.0, "calls": 41.0}, "gemini": {"text": 1.0, "calls": 41.0}})

    verdicts = {goal.what.rpartition(", ")[2]: goal.verdict() for goal in goals(findings) if "chunk" in goal.what}
    assert verdicts["openai"].startswith("MISSED")
    assert verdicts["gemini"] == "met"

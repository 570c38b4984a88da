import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.bus.port import Record
from libs.bus.segments import HEAD_BYTES, MAGIC, Damage, Frame, decode, encode, read_frames

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_records = st.builds(
    Record,
    topic=_text,
    key=_text,
    value=st.one_of(st.binary(max_size=60), st.just(MAGIC * 3)),
    headers=st.dictionaries(_text, _text, max_size=3),
)


def _read(data: bytes, *, is_last: bool = True) -> tuple[list[Record], list[Damage]]:
    items = list(read_frames(data, base=0, is_last=is_last))
    return [decode(i.payload) for i in items if isinstance(i, Frame)], [i for i in items if isinstance(i, Damage)]


@given(st.lists(_records, max_size=5), st.integers(0, 50))
def test_records_come_back_as_they_were_and_zeros_behind_them_are_no_damage(records: list[Record], zeros: int) -> None:
    assert _read(b"".join(map(encode, records)) + bytes(zeros)) == (records, [])


@settings(max_examples=30)
@given(st.lists(_records, min_size=1, max_size=4))
def test_cut_at_every_byte_keeps_every_record_before_the_cut(records: list[Record]) -> None:
    frames = [encode(record) for record in records]
    data = b"".join(frames)
    ends = [sum(map(len, frames[: n + 1])) for n in range(len(frames))]
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        found, damage = _read(data[:cut])
        assert found == records[:whole]
        torn = cut - (ends[whole - 1] if whole else 0)
        assert [d.end - d.start for d in damage] == ([torn] if torn else [])


@settings(max_examples=60)
@given(st.lists(_records, min_size=1, max_size=4), st.data())
def test_damaged_byte_costs_one_record_and_never_a_later_one(records: list[Record], data: st.DataObject) -> None:
    frames = [encode(record) for record in records]
    whole = bytearray(b"".join(frames))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    found, damage = _read(bytes(whole))
    ends = [sum(map(len, frames[: n + 1])) for n in range(len(frames))]
    victim = next(n for n, end in enumerate(ends) if place < end)
    assert found == records[:victim] + records[victim + 1 :]
    assert damage == [Damage(ends[victim] - len(frames[victim]), ends[victim])]


@given(st.lists(_records, min_size=1, max_size=4), st.integers(1, 200))
def test_stretches_of_any_size_give_the_same_as_the_whole(records: list[Record], size: int) -> None:
    data = b"".join(map(encode, records))
    found: list[Record] = []
    place, size = 0, max(size, *(len(encode(r)) for r in records))
    while place < len(data):
        is_last = place + size >= len(data)
        for item in read_frames(data[place : place + size], base=place, is_last=is_last):
            assert isinstance(item, Frame)
            found.append(decode(item.payload))
            place = item.end
    assert found == records


def test_hole_of_zeros_in_the_middle_is_damage() -> None:
    one, two = encode(Record("t", "a", b"1")), encode(Record("t", "b", b"2"))
    found, damage = _read(one + bytes(100) + two)
    assert [r.key for r in found] == ["a", "b"]
    assert damage == [Damage(len(one), len(one) + 100)]


@pytest.mark.parametrize(
    "record",
    [
        Record("t" * 70_000, "k", b""),
        Record("t", "k" * 70_000, b""),
        Record("t", "k", bytes(5_000_000)),
        Record("t", "\ud800", b""),
    ],
)
def test_record_that_no_frame_can_hold_is_refused(record: Record) -> None:
    with pytest.raises(ValueError, match=r"long|surrogates"):
        encode(record)


def test_length_that_lies_does_not_swallow_what_follows() -> None:
    liar = bytearray(encode(Record("t", "a", b"1")))
    liar[4:8] = (1_000_000).to_bytes(4, "little")
    found, _ = _read(bytes(liar) + encode(Record("t", "b", b"2")))
    assert [r.key for r in found] == ["b"]
    assert HEAD_BYTES == 12

import json
from pathlib import Path

from libs.bus.port import Record
from libs.bus.segments import SegmentName, encode
from services.audit.spools import spool_folders, waiting_generation_ids


def frame(number: int) -> bytes:
    return encode(Record("switchyard.usage.v1", "acct_1", b"value", {"event-id": f"gen-{number}"}))


def write_segment(folder: Path, number: int, *frames: bytes, tail: bytes = b"") -> None:
    SegmentName(number, 0).in_folder(folder).write_bytes(b"".join(frames) + tail)


def acknowledge(folder: Path, segment: int, offset: int) -> None:
    (folder / "acknowledged.json").write_text(json.dumps({"segment": segment, "offset": offset, "sequence": 0}))


def test_all_records_of_a_spool_that_was_never_drained_wait(tmp_path: Path) -> None:
    write_segment(tmp_path, 1, frame(1), frame(2))
    write_segment(tmp_path, 2, frame(3), tail=b"\0" * 4096)
    assert list(waiting_generation_ids(tmp_path)) == ["gen-1", "gen-2", "gen-3"]


def test_only_what_is_behind_the_acknowledged_place_waits(tmp_path: Path) -> None:
    write_segment(tmp_path, 1, frame(1))
    write_segment(tmp_path, 2, frame(2), frame(3), tail=frame(4)[:20])
    acknowledge(tmp_path, 2, len(frame(2)))
    assert list(waiting_generation_ids(tmp_path)) == ["gen-3"]


def test_spools_are_found_below_the_data_folder_but_databases_are_not_entered(tmp_path: Path) -> None:
    for name in ("edge_proxy-0/spool", "edge_proxy-1/spool", "postgres/base"):
        (tmp_path / name).mkdir(parents=True)
        write_segment(tmp_path / name, 1, frame(1))
    (tmp_path / "postgres" / "PG_VERSION").touch()
    assert sorted(spool_folders(tmp_path)) == [tmp_path / "edge_proxy-0/spool", tmp_path / "edge_proxy-1/spool"]

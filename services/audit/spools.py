"""What waits in the spools of a data folder: usage that is durable but that the event log has not taken.

Owns reading them beside their owner. Never writes, locks or trims. Invariant: a record counts once, and damage counts
as nothing.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from libs.bus.segments import READ_BYTES, Frame, SegmentName, decode, read_frames, segments_in


def spool_folders(data_dir: Path) -> list[Path]:
    """Folders below that hold segments; the folders of databases are not entered."""
    found: list[Path] = []
    for root, folders, files in os.walk(data_dir):
        if "PG_VERSION" in files:
            folders.clear()
        elif any(name.endswith(".spool") for name in files):
            found.append(Path(root))
    return found


def waiting_generation_ids(folder: Path) -> Iterator[str]:
    """Ids of records behind the acknowledged place; that place is saved late, so some may have been taken already."""
    segment, offset = _acknowledged(folder)
    for name in segments_in(folder):
        if name.number >= segment:
            yield from _ids(folder, name, offset if name.number == segment else 0)


def _ids(folder: Path, name: SegmentName, start: int) -> Iterator[str]:
    try:
        file = name.in_folder(folder).open("rb")
    except FileNotFoundError:  # trimmed while we looked
        return
    with file:
        place = start
        while True:
            file.seek(place)
            buffer = file.read(READ_BYTES)
            is_last = len(buffer) < READ_BYTES
            before = place
            for item in read_frames(buffer, base=place, is_last=is_last):
                if isinstance(item, Frame):
                    yield decode(item.payload).event_id
                place = item.end
            if is_last or place == before:
                return


def _acknowledged(folder: Path) -> tuple[int, int]:
    try:
        saved = json.loads((folder / "acknowledged.json").read_bytes())
        return int(saved["segment"]), int(saved["offset"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0

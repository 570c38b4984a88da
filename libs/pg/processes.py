"""The processes of one PostgreSQL data folder, found without any right beyond reading the process list.

Owns telling them apart from everyone else's. Does not decide who is ended. Invariant: a pid read from a file is trusted
only if the process behind it names the folder.
"""

import hashlib
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_HAS_PROC = Path("/proc/self/cmdline").exists()  # Linux; elsewhere ps tells


@dataclass(frozen=True, slots=True)
class PidFile:
    """What `postmaster.pid` says (PostgreSQL's `pidfile.h`); lines appear one by one while a server starts."""

    pid: int
    ready: bool


def read_pid_file(data_dir: Path) -> PidFile | None:
    try:
        lines = (data_dir / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().isdigit():
        return PidFile(pid=0, ready=False)
    return PidFile(pid=int(lines[0]), ready=len(lines) > 7 and lines[7].strip() == "ready")


def cluster_name(data_dir: Path) -> str:
    """The name that every process of the folder's server carries in its title, orphaned children too."""
    return f"switchyard-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"


def is_postmaster(pid: int, data_dir: Path) -> bool:
    """Whether this process runs, and is the postmaster of the folder."""
    return _is_postmaster(_command_of(pid), data_dir)


def processes_of(data_dir: Path) -> list[int]:
    """Pids of the folder's server: the postmaster, and children that outlived it."""
    title = f"postgres: {cluster_name(data_dir)}: "
    return [
        pid for pid, words in _all_commands() if _is_postmaster(words, data_dir) or " ".join(words).startswith(title)
    ]


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_postmaster(words: list[str], data_dir: Path) -> bool:
    return len(words) >= 3 and Path(words[0]).name == "postgres" and words[1:3] == ["-D", str(data_dir)]


def _command_of(pid: int) -> list[str]:
    """The words of a command line; none for a zombie and for a process that is no more."""
    if pid <= 0:
        return []
    if _HAS_PROC:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return []
    return next((words for other, words in _all_commands() if other == pid), [])


def _all_commands() -> list[tuple[int, list[str]]]:
    if _HAS_PROC:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 (names are enough)
        return [(pid, _command_of(pid)) for pid in pids]
    listing = subprocess.run(["/bin/ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True)
    lines = (line.split() for line in listing.stdout.splitlines())
    return [(int(words[0]), words[1:]) for words in lines if words]

"""PostgreSQL as a child of ours, for laptops and tests: `python -m libs.pg.embedded --data DIR`, or the class.

Owns the server's life on one data folder: start, adoption of one that a killed run left behind, stop. Does not know
what is stored. Invariant: at most one process of ours looks after a folder, by a lock that dies with the process.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from libs.logs import facts, set_up_logs
from libs.pg.cluster import (
    ENVIRONMENT,
    EmbeddedPostgresError,
    configure,
    ensure_cluster,
    find_install,
    remove_stale_files,
    socket_dir_of,
)
from libs.pg.processes import is_postmaster, processes_of, read_pid_file, send
from libs.pg.system_user import SystemUser, make_folder, open_programs, open_the_way, user_for

logger = logging.getLogger(__name__)

_POLL_S = 0.005
_LOCK_WAIT_S = 5.0
_READY_WAIT_S = 300.0  # crash recovery of a large folder takes its time
_ADOPT_WAIT_S = 30.0
_ORPHANS_WAIT_S = 2.0
_LOG_LIMIT_BYTES = 10 * 1024 * 1024
_STOP_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Fast shutdown, then immediate, then by force; PostgreSQL recovers from each."""


class EmbeddedPostgres:
    """One PostgreSQL server on one data folder, reachable over a Unix socket by our user (and root) alone.

    It outlives us if we are killed; the next `start` on the folder adopts it. The DSN of a folder never changes.

    Args:
        data_dir: the server's own folder; made at the first start. As root it belongs to an unprivileged user.
        overrides: settings of PostgreSQL that differ from ours, such as `{"fsync": "off"}` in tests.
    """

    def __init__(self, data_dir: Path, *, overrides: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.absolute().parent.resolve() / data_dir.name
        self.log_path = self.data_dir / "server.log"
        self._overrides = dict(overrides or {})
        self._lock: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(socket_dir_of(self.data_dir)))}&port=5432"

    @property
    def pid(self) -> int | None:
        """The postmaster's; None before the first start."""
        return self._pid

    def is_running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self._pid is not None and is_postmaster(self._pid, self.data_dir)

    async def start(self) -> None:
        """Returns when the server answers. Fine to call again after the server died.

        Raises:
            EmbeddedPostgresError: not installed, folder in use, or the server refuses; the message says which.
            PermissionError: the folder belongs to someone else.
        """
        if self.is_running():
            return
        self._child = None
        await self._take_lock()
        try:
            install = find_install()
            user = user_for(self.data_dir)
            open_programs(install, user)
            open_the_way(self.data_dir, user)
            left = await self._find_left_behind()
            await asyncio.to_thread(ensure_cluster, self.data_dir, install, user)
            changed = configure(self.data_dir, self._overrides, user)
            if not left or not await self._adopt(changed=changed):
                await self._launch(install, user)
        except BaseException:
            self._release_lock()
            raise

    async def wait_dead(self) -> None:
        """Returns when the postmaster is no more."""
        while self.is_running():  # noqa: ASYNC110 (an adopted server is not our child: nothing tells us)
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Ends the server and waits for it. The order to end goes out before the first await."""
        try:
            for pause_s in self._stopping():
                await asyncio.sleep(pause_s)
        finally:
            self._release_lock()

    def stop_now(self) -> None:
        """The same for where no event loop runs any more; blocks."""
        try:
            for pause_s in self._stopping():
                time.sleep(pause_s)
        finally:
            self._release_lock()

    def _stopping(self) -> Iterator[float]:
        """Steps of ending the server, and how long to pause after each."""
        for number, limit_s in _STOP_STEPS:
            if not self.is_running():
                return
            assert self._pid is not None
            send(self._pid, number)
            deadline = time.monotonic() + limit_s
            while self.is_running() and time.monotonic() < deadline:
                yield _POLL_S

    async def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        path = self.data_dir.with_name(f"{self.data_dir.name}.lock")
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _LOCK_WAIT_S
        try:
            while not _try_lock(lock):
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(f"another process of Switchyard runs PostgreSQL on {self.data_dir}")
                await asyncio.sleep(0.05)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _find_left_behind(self) -> bool:
        """Whether a killed run left a live postmaster; clears away everything less than that."""
        found = read_pid_file(self.data_dir)
        if found is not None and is_postmaster(found.pid, self.data_dir):
            self._pid = found.pid
            return True
        await self._end_orphans()
        remove_stale_files(self.data_dir)
        return False

    async def _adopt(self, *, changed: bool) -> bool:
        """Takes over the server that was left behind; ends it if its settings are not ours any more."""
        ready = False
        deadline = time.monotonic() + _ADOPT_WAIT_S
        while not ready and self.is_running() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
            found = read_pid_file(self.data_dir)
            ready = found is not None and found.ready
        if ready and not changed:
            logger.info("adopted a running PostgreSQL", extra=facts(pid=self._pid, folder=str(self.data_dir)))
            return True
        for pause_s in self._stopping():
            await asyncio.sleep(pause_s)
        await self._end_orphans()
        remove_stale_files(self.data_dir)
        return False

    async def _end_orphans(self) -> None:
        """Ends what runs on the folder without a postmaster that can be adopted; it would keep a new one from starting."""
        number, next_step_s = signal.SIGQUIT, time.monotonic()
        while orphans := await asyncio.to_thread(processes_of, self.data_dir):
            if time.monotonic() >= next_step_s:
                logger.warning("ending what a killed PostgreSQL left", extra=facts(pids=orphans, signal=number.name))
                for pid in orphans:
                    send(pid, number)
                number, next_step_s = signal.SIGKILL, time.monotonic() + _ORPHANS_WAIT_S
            await asyncio.sleep(_POLL_S)

    async def _launch(self, install: Path, user: SystemUser) -> None:
        make_folder(socket_dir_of(self.data_dir), user)
        self._child = self._spawn(install, user)
        self._pid = self._child.pid
        deadline = time.monotonic() + _READY_WAIT_S
        try:
            while (found := read_pid_file(self.data_dir)) is None or found.pid != self._pid or not found.ready:
                if not self.is_running():
                    raise EmbeddedPostgresError(f"PostgreSQL does not start: {self._end_of_log()}")
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(f"PostgreSQL is not ready in time: {self._end_of_log()}")
                await asyncio.sleep(_POLL_S)
        except BaseException:
            if self.is_running():
                self.stop_now()
            raise

    def _spawn(self, install: Path, user: SystemUser) -> subprocess.Popen[bytes]:
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (our own program and folder)
                [str(install / "bin" / "postgres"), "-D", str(self.data_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(ENVIRONMENT),
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us; we end the server when its users are done
                user=user.uid,
                group=user.gid,
                extra_groups=user.groups,
            )

    def _end_of_log(self) -> str:
        try:
            return self.log_path.read_text(errors="replace")[-1500:].strip()
        except FileNotFoundError:
            return "no log"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def run_in_foreground(data_dir: Path) -> int:
    """Runs the server until SIGTERM or SIGINT (returns 0) or until it dies by itself (returns 1)."""
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    server = EmbeddedPostgres(data_dir)
    await server.start()
    sys.stdout.write(f"{server.dsn}\npid {server.pid}\n")
    sys.stdout.flush()
    ends = [asyncio.create_task(told_to_stop.wait()), asyncio.create_task(server.wait_dead())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in ends:
        task.cancel()
    if told_to_stop.is_set():
        await server.stop()
        return 0
    server.stop_now()
    logger.error("PostgreSQL died", extra=facts(pid=server.pid, log=str(server.log_path)))
    return 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m libs.pg.embedded", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the server's own folder")
    arguments = parser.parse_args()
    set_up_logs("postgres", "INFO")
    try:
        sys.exit(asyncio.run(run_in_foreground(arguments.data)))
    except (EmbeddedPostgresError, PermissionError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

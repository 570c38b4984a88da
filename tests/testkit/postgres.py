"""A real PostgreSQL for tests: one server per session, one empty database per test that asks for one.

Owns the fixtures `postgres_server`, `postgres_dsn` and `database_dsn`; import them in a conftest. Invariant: nothing
stays behind, not even when the session is killed.
"""

import asyncio
import contextlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from libs.pg.embedded import EmbeddedPostgres

_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "16MB"}
_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED = 4 << 30
_STASH = pytest.StashKey[EmbeddedPostgres]()
_TEMPLATE = "switchyard_empty"

# Reads one line from us; if we die before we wrote it, ends the server that would outlive us.
_GUARD = 'read -r _ || { kill -QUIT "$0"; sleep 1; rm -rf "$1"; }'


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[EmbeddedPostgres]:
    """The session's server, without durability. Tests that kill a server start their own."""
    known = pytestconfig.stash.get(_STASH, None)
    if known is not None:  # the fixture was imported in two places
        yield known
        return
    with running_postgres(_FAST) as server:
        pytestconfig.stash[_STASH] = server
        asyncio.run(_make_template(server.dsn))
        yield server
        del pytestconfig.stash[_STASH]


@pytest.fixture(scope="session")
def postgres_dsn(postgres_server: EmbeddedPostgres) -> str:
    """The session's server: its maintenance database. Do not leave tables there."""
    return postgres_server.dsn


@pytest.fixture
async def database_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """A new, empty database, dropped afterwards together with whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    await _administer(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
    yield postgres_dsn.replace("/postgres?", f"/{name}?")
    await _administer(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running_postgres(overrides: dict[str, str]) -> Iterator[EmbeddedPostgres]:
    """A server on a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="sy-pg-", dir=_place()))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    server = EmbeddedPostgres(folder / "data", overrides=overrides)
    try:
        asyncio.run(server.start())
        with _guarded(server, folder):
            yield server
    finally:
        server.stop_now()
        shutil.rmtree(folder)


def _place() -> Path:
    """Memory where there is plenty: a new database takes 10 ms there, 100 ms on a disk."""
    plenty = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED
    return _MEMORY if plenty else Path("/tmp")


@contextlib.contextmanager
def _guarded(server: EmbeddedPostgres, folder: Path) -> Iterator[None]:
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, str(server.pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.communicate(b"all is well\n")


async def _make_template(dsn: str) -> None:
    await _administer(dsn, f"CREATE DATABASE {_TEMPLATE} IS_TEMPLATE true")
    await _administer(dsn, "CHECKPOINT")


async def _administer(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def eventually(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 10.0) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            await asyncio.sleep(0.01)

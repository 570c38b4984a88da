"""Regenerates libs/protos from proto/: `python proto/generate.py [--check]`.

With --check nothing is written; the exit status says whether the committed code is what the protos say.
"""

import filecmp
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).parent
GENERATED = PROTO.parent / "libs" / "protos"


def generate(target: Path) -> None:
    """Writes messages, services and their type stubs under `target`."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("switchyard/**/*.proto"))
    arguments = [
        "protoc",
        f"-I{PROTO}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
    ]
    if protoc.main([*arguments, *sources]) != 0:
        sys.exit("protoc failed")
    services = [source for source in sources if "service " in (PROTO / source).read_text()]
    arguments = [*arguments[:3], f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet,only_async:{target}"]
    if protoc.main([*arguments, *services]) != 0:
        sys.exit("protoc failed")


def differences(left: Path, right: Path) -> list[str]:
    """Relative paths of files that are missing on one side or differ."""
    names = {path.relative_to(root) for root in (left, right) for path in root.rglob("*.py*") if path.suffix != ".pyc"}
    return sorted(
        str(name)
        for name in names
        if not ((left / name).is_file() and (right / name).is_file())
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if "--check" in sys.argv:
            stale = differences(GENERATED, fresh)
            if stale:
                sys.exit("generated code differs from proto/, run `make proto`:\n" + "\n".join(stale))
            return
        shutil.rmtree(GENERATED, ignore_errors=True)
        shutil.copytree(fresh, GENERATED)


main()

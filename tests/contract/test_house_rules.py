"""The house rules that a machine can see: every module explains itself, reads no environment, and starts quickly."""

import ast
import compileall
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "libs" / "protos"
MAX_LINES = 500
MAX_IMPORT_CPU_S = 2.0
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
MAY_READ_THE_ENVIRONMENT = {
    "libs/settings.py",  # the one loader
    "services/launch/settings.py",  # hands the environment on to child processes
}
ENTRANCES = {"main.py", "__main__.py"}
PURE_ROOMS = {"core", "handlers.py", "convert.py", "ports.py"}

WATCHED_IMPORT = """
import sys, time
name, root = sys.argv[1:]

def watch(event, arguments):
    if event in {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.mkdir"}:
        raise SystemExit(f"import does {event} {arguments}")
    if event == "open" and isinstance(arguments[0], str):
        path, mode = arguments[0], arguments[1] or "r"
        if set(mode) & set("wax+"):
            raise SystemExit(f"import writes {path}")
        if path.startswith(root + "/services") and not path.endswith((".py", ".pyc")):
            raise SystemExit(f"import reads {path}")

sys.addaudithook(watch)
__import__(name)
print(time.process_time())
"""


def modules(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not path.is_relative_to(GENERATED)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def broken_by(paths: list[Path]) -> list[str]:
    return [name_of(path) for path in paths]


def services_with(file: str) -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "services").glob(f"*/{file}"))


def test_the_tree_is_found() -> None:
    assert len(modules("services", "libs")) > 100
    assert "edge_proxy" in services_with("main.py")


def test_every_module_says_what_it_is() -> None:
    silent = [
        path
        for path in modules("services", "libs")
        if path.name != "__main__.py"
        and path != ROOT / "services" / "__init__.py"
        and not ast.get_docstring(tree_of(path))
    ]
    assert broken_by(silent) == []


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    full = [path for path in modules("services", "libs") if path.name == "__init__.py" and len(tree_of(path).body) > 1]
    assert broken_by(full) == []


def test_names_explain_themselves() -> None:
    paths = modules("services", "libs", "tests")
    vague = [path for path in paths if {path.stem, *path.relative_to(ROOT).parent.parts} & VAGUE_NAMES]
    assert broken_by(vague) == []


def test_modules_are_of_a_readable_size() -> None:
    long = [path for path in modules("services", "libs", "tests") if len(path.read_text().splitlines()) > MAX_LINES]
    assert broken_by(long) == []


def _reads_environment(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "os" and node.attr in {"environ", "getenv", "putenv", "environb"}:
                return True
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names}
            if names & {"environ", "getenv"}:
                return True
    return False


def test_environment_is_read_where_a_process_starts_and_nowhere_else() -> None:
    readers = [
        path
        for path in modules("services", "libs")
        if _reads_environment(tree_of(path))
        and path.name not in ENTRANCES
        and name_of(path) not in MAY_READ_THE_ENVIRONMENT
    ]
    assert broken_by(readers) == []


def _catches_everything(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type is not None else "everything"
            if caught in {"everything", "Exception", "BaseException"}:
                return True
    return False


def test_pure_rooms_catch_only_what_they_understand() -> None:
    pure = [path for path in modules("services") if PURE_ROOMS & set(path.relative_to(ROOT).parts)]
    assert len(pure) > 20
    assert broken_by([path for path in pure if _catches_everything(tree_of(path))]) == []


def test_every_service_has_a_page_that_explains_it() -> None:
    rooms = [path.parent for path in sorted((ROOT / "services").glob("*/__init__.py"))]
    missing = [room.name for room in rooms if not (room / "README.md").is_file()]
    assert missing == []


def test_every_service_can_be_run_by_its_name() -> None:
    assert [name for name in services_with("main.py") if name not in services_with("__main__.py")] == []


@pytest.fixture(scope="module")
def imports() -> dict[str, tuple[int, str]]:
    """Exit status and output of importing each service's main in a process of its own, compiled as an image ships it."""
    compileall.compile_dir(ROOT / "services", quiet=1)
    compileall.compile_dir(ROOT / "libs", quiet=1)
    environment = {"PYTHONPATH": f"{ROOT}:{GENERATED}", "PATH": "/usr/bin:/bin"}
    started = {
        name: subprocess.Popen(
            [sys.executable, "-B", "-c", WATCHED_IMPORT, f"services.{name}.main", str(ROOT)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", env=environment, text=True,
        )
        for name in services_with("main.py")
    }  # fmt: skip
    ended = {name: process.communicate(timeout=100)[0] for name, process in started.items()}
    return {name: (started[name].returncode, output) for name, output in ended.items()}


@pytest.mark.parametrize("name", services_with("main.py"))
def test_importing_a_service_does_nothing_and_is_quick(name: str, imports: dict[str, tuple[int, str]]) -> None:
    status, output = imports[name]
    assert status == 0, output
    assert float(output) < MAX_IMPORT_CPU_S

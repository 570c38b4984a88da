"""The output file: where tools and tests find what was started (DESIGN §7, §11).

Owns its shape and its atomic rename. Invariant: the file exists only while a chat completion would work, and nobody but
its owner can read it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with mode 0600 by atomic rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None when there is no such file or it is not one."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def announcement(content: Mapping[str, Any], model: str, path: Path) -> str:
    """What a person sees when it is up."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
    return (
        "\nSwitchyard is up.\n\n"
        f"  API base        {content['api_base']}\n"
        f"  API key         {content['api_key']}\n"
        f"  management key  {content['management_key']}\n"
        f"  also in         {path}\n\n"
        "Try it:\n\n"
        f"  curl {content['api_base']}/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {content['api_key']}' \\\n"
        "    -H 'Content-Type: application/json' \\\n"
        f"    -d '{body}'\n"
    )

"""Where providers are that an operator adds or moves: the part of the router's overlay files that concerns calls.

Owns `base_url`, `token_url`, `dialect`, `protocol` and `credential_name` of `providers` and of `changes` to providers (docs/providers.md).
Everything else in the files is the router's. Invariant: all files together give hosts, or an OverlayError that names
file, path and field; credentials are never in them.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from libs.settings import SettingsError
from services.provider_adapter.addresses import checked_base_url
from services.provider_adapter.hosts import Host
from services.provider_adapter.protocols.openai_chat.dialects import DIALECTS as CHAT_DIALECTS
from services.provider_adapter.protocols.openai_embeddings.dialects import DIALECTS as EMBEDDINGS_DIALECTS
from services.provider_adapter.protocols.openai_responses.request import DIALECTS as RESPONSES_DIALECTS
from services.provider_adapter.protocols.table import protocols

MAX_FILES: Final = 1000
MAX_FILE_BYTES: Final = 16 * 1024 * 1024

Signature = tuple[tuple[str, int, int], ...]

_FIELDS = ("base_url", "token_url", "protocol", "dialect", "credential_name")
_VARIABLE = re.compile(r"[A-Z0-9_]{1,128}(?:\|[A-Z0-9_]{1,128})*")
_DIALECTS = frozenset({"", *CHAT_DIALECTS, *EMBEDDINGS_DIALECTS, *RESPONSES_DIALECTS})


class OverlayError(SettingsError):
    """A file that cannot be taken; the message names file, path and field."""

    def __init__(self, file: str, path: str, problem: str) -> None:
        super().__init__(": ".join(part for part in (file, path, problem) if part))


def signature_of(folder: Path) -> Signature:
    """Differs when a file came, went or was written.

    Raises:
        OverlayError: the folder cannot be read, or holds too much.
    """
    return tuple((one.name, stat.st_mtime_ns, stat.st_size) for one, stat in _files(folder))


def with_overlay(hosts: Mapping[str, Host], folder: Path) -> tuple[dict[str, Host], frozenset[str]]:
    """The hosts as the files say, taken in the order of their names, and the slugs whose host wants no credential.

    Raises:
        OverlayError: a file is wrong.
    """
    changed = dict(hosts)
    without: set[str] = set()
    for file, _ in _files(folder):
        for path, entry in _entries(file):
            slug = entry.get("slug") if path.startswith("providers") else entry.get("provider")
            if not isinstance(slug, str) or not any(name in entry for name in _FIELDS):
                continue
            known = changed.get(slug)
            told = {name: _checked(file.name, f"{path}.{name}", name, entry[name]) for name in _FIELDS if name in entry}
            if known is None and "base_url" not in told:
                # A provider that is told of, and not where it is: a credential and a base URL may be settings.
                continue
            changed[slug] = _told(known or Host("", ""), told)
            if "base_url" in told and "credential_name" not in told:
                without.add(slug)
            elif "credential_name" in told:
                without.discard(slug)
    return changed, frozenset(without)


def _told(host: Host, told: Mapping[str, str]) -> Host:
    if "base_url" in told:
        host = host.moved(told["base_url"])
    return host._replace(
        token_url=told.get("token_url", host.token_url),
        protocol=told.get("protocol", host.protocol),
        dialect=told.get("dialect", host.dialect),
        credential_name=told.get("credential_name", host.credential_name),
    )


def _entries(file: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        top = orjson.loads(file.read_bytes())
    except OSError as error:
        raise OverlayError(file.name, "", f"cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise OverlayError(file.name, "", f"is not JSON: {error}") from None
    if not isinstance(top, dict):
        raise OverlayError(file.name, "", "is not a JSON object")
    entries = []
    for name in ("providers", "changes"):
        listed = top.get(name, [])
        if not isinstance(listed, list):
            raise OverlayError(file.name, name, "must be a list")
        for place, entry in enumerate(listed):
            if not isinstance(entry, dict):
                raise OverlayError(file.name, f"{name}[{place}]", "must be an object")
            entries.append((f"{name}[{place}]", entry))
    return entries


def _checked(file: str, path: str, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OverlayError(file, path, "must be a text")
    if name in {"base_url", "token_url"}:
        try:
            return checked_base_url(value)
        except ValueError as error:
            raise OverlayError(file, path, str(error)) from None
    if name == "protocol" and value not in (formats := {one for one, _ in protocols()}):
        raise OverlayError(file, path, f"is not a format: {value[:64]!r}; there are {', '.join(sorted(formats))}")
    if name == "dialect" and value not in _DIALECTS:
        raise OverlayError(file, path, f"is not a dialect: {value[:64]!r}; there are {', '.join(sorted(_DIALECTS))}")
    if name == "credential_name" and value and not _VARIABLE.fullmatch(value):
        raise OverlayError(file, path, "must be the name of an environment variable, or several: ONE|OTHER")
    return value


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    try:
        found = sorted(one for one in folder.iterdir() if one.suffix == ".json")
        files = [(one, one.stat()) for one in found[: MAX_FILES + 1]]
    except OSError as error:
        raise OverlayError(str(folder), "", f"cannot be read: {error.strerror}") from None
    if len(files) > MAX_FILES:
        raise OverlayError(str(folder), "", f"holds more than {MAX_FILES} files")
    for one, stat in files:
        if stat.st_size > MAX_FILE_BYTES:
            raise OverlayError(one.name, "", f"is larger than {MAX_FILE_BYTES} bytes")
    return files

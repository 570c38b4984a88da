"""Makes the folder of a new wire format, and the conformance tests that it fails.

`python -m tests.testkit.provider_scaffold NAME` (make provider NAME=…). Owns these files' first words. Does not touch what is
there: it refuses a name that is taken. Invariant: what it makes passes ruff and mypy, imports, and fails its tests.
"""

import argparse
import re
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_PROTOCOLS = Path("services/provider_adapter/protocols")

_INIT = '"""The wire format {title}."""\n'

_REQUEST = '''"""The caller's chat request as {title} wants it.

Owns what is set, renamed and left out by rule. Invariant: only fields of the format are sent.
"""

from services.provider_adapter.protocols.chat_body import read_chat_body, write_body
from services.provider_adapter.protocols.port import Attempt, Prepared

PATH = "/to-do"


def prepare(attempt: Attempt) -> Prepared:
    """The request for one attempt.

    Raises:
        AppError: the caller's body is not a JSON object, or nests too deeply.
        ProviderFailedError: it holds what this format cannot carry (`chat_body.cannot_carry`).
    """
    chat = read_chat_body(attempt)
    # To do: messages (conversation.py reads turns), tools, tool choice, answer format, reasoning, sampling, limit, stream.
    body = {{"model": attempt.provider_model_id}}
    return Prepared(PATH, write_body(body), chat.hide_reasoning, tools=chat.tools)
'''

_RESPONSE = '''"""Replies of {title} in chat's shape.

Owns whole replies and the pieces that streams share with them. Invariant: `finish_reason` is one of chat's words or null,
the provider's own word stands beside it.
"""

from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts
from services.provider_adapter.protocols.translated import broken_reply, loads_reply


def whole(attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:  # noqa: ARG001 (to do)
    """The reply as one JSON object without `usage`.

    Raises:
        ProviderFailedError: the body is not JSON, is an error, or is no reply.
    """
    loads_reply(body)
    # To do: translated.whole_choice and whole_reply write the bytes.
    raise broken_reply("{title} is not written yet.")
'''

_STREAM = '''"""A streamed reply of {title}, from the provider's events to chat's chunks.

Owns what each event means. Framing, holding back and the role are `translated.py`'s. Invariant: an event of an unknown
kind changes nothing.
"""

from typing import Any

from services.provider_adapter.protocols.translated import TranslatedStream, broken_reply


class {cls}StreamDecoder(TranslatedStream):
    """See `StreamDecoder`."""

    def _read(self, name: bytes, value: dict[str, Any]) -> bytes:  # noqa: ARG002 (to do)
        # To do: self._open, _text, _delta and _finish write chunks; self.facts and self.ended say how far it is.
        raise broken_reply("{title} is not written yet.")
'''

_ERRORS = '''"""What an unsuccessful answer or an error event of {title} means.

Owns the provider's own words. Leaves statuses and wordings to the general table. Invariant: whatever the bytes are, the
result is a `Failure`, never an exception.
"""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.openai_chat.errors import failure_of


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    # To do: codes and hints of this provider alone.
    return failure_of(status, headers, body, now_s)
'''

_PROTOCOL = '''"""{title} as a `WireProtocol`: ties the pure modules of this folder together."""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.{name}.errors import failure_of_answer
from services.provider_adapter.protocols.{name}.request import prepare
from services.provider_adapter.protocols.{name}.response import whole
from services.provider_adapter.protocols.{name}.stream import {cls}StreamDecoder
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts


class {cls}:
    """See `WireProtocol`."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return {{"Authorization": f"Bearer {{credential}}"}} if credential else {{}}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (to do)
        return prepare(attempt)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> {cls}StreamDecoder:
        return {cls}StreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)
'''

_TEST = '''"""{title} in the conformance suite; the wire writes the provider's bytes from its documentation, not by our code."""

from typing import ClassVar

import pytest

from services.provider_adapter.protocols.{name}.protocol import {cls}
from services.provider_adapter.protocols.port import Usage, WireProtocol
from tests.testkit.provider_conformance import ProviderConformance
from tests.testkit.provider_wires import Reply, Wire


class {cls}Wire:
    protocol: WireProtocol = {cls}()
    model = "some-model"
    native_ends: ClassVar[dict[str, str]] = {{
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
    }}
    usage = Usage(10, 6)
    signs = False

    def stream(self, reply: Reply) -> bytes:
        raise NotImplementedError

    def whole(self, reply: Reply) -> bytes:
        raise NotImplementedError

    def noise(self) -> bytes:
        raise NotImplementedError

    def error_event(self) -> bytes:
        raise NotImplementedError

    def error(self, status: int, message: str) -> bytes:
        raise NotImplementedError


class Test{cls}(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return {cls}Wire()
'''

_MODULES = {
    "__init__.py": _INIT,
    "request.py": _REQUEST,
    "response.py": _RESPONSE,
    "stream.py": _STREAM,
    "errors.py": _ERRORS,
    "protocol.py": _PROTOCOL,
}
_NEXT = """Made {folder} and {test}. Then, in this order:
1. the wire in the test: the provider's bytes, from its documentation;
2. stream.py and response.py until the suite passes, errors.py for what the general table does not know;
3. request.py, with tests of its own for what the format cannot carry;
4. a line in protocols/table.py, one in services/router/core/vocabulary.py (SPOKEN), hosts in hosts.json;
5. the format in services/provider_simulator, a row in tests/e2e/test_every_protocol.py, a wire in tests/bench/adapter_chunks.py.
"""


class TakenError(Exception):
    """There is such a format, or the name is none."""


def make(name: str, root: Path) -> tuple[Path, Path]:
    """Writes the folder and the test below a checkout.

    Raises:
        TakenError: the name is taken, or cannot be a module's.
    """
    if not _NAME.fullmatch(name):
        raise TakenError(f"{name!r} cannot be a module's name: small letters, digits, single underscores")
    folder = root / _PROTOCOLS / name
    test = root / "tests" / "unit" / "provider_adapter" / f"test_adapter_{name}_conformance.py"
    if folder.exists() or test.exists():
        raise TakenError(f"there is a format {name!r} already")
    words = {"name": name, "title": name.replace("_", " "), "cls": "".join(part.title() for part in name.split("_"))}
    folder.mkdir(parents=True)
    for module, content in _MODULES.items():
        (folder / module).write_text(_in_order(content.format(**words)))
    test.parent.mkdir(parents=True, exist_ok=True)
    test.write_text(_in_order(_TEST.format(**words)))
    return folder, test


def _in_order(text: str) -> str:
    """Imports of our own in the order of their names, which depends on the new one."""
    lines = text.splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if line.startswith("from services.")]
    if places:
        lines[places[0] : places[-1] + 1] = sorted(lines[places[0] : places[-1] + 1])
    return "".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make provider NAME=…", description=__doc__)
    parser.add_argument("name", help="of the new folder, as cohere or openai_responses")
    try:
        folder, test = make(parser.parse_args().name, _CHECKOUT)
    except TakenError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(_NEXT.format(folder=folder.relative_to(_CHECKOUT), test=test.relative_to(_CHECKOUT)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

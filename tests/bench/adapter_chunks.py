"""What a streamed chunk costs provider_adapter, in each wire format: from the provider's bytes to finished chunks.

Owns these figures. `python -m tests.bench.adapter_chunks` prints them; the bench runs it as a process of its own.
Invariant: only CPU of the decoder counts, one event a read, the dearest way to get them; the best of some rounds, for
whatever else the machine does can only add.
"""

import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from services.provider_adapter.protocols.azure.protocol import AzureChat
from services.provider_adapter.protocols.port import Prepared, WireProtocol
from tests.bench.text_table import table
from tests.testkit.provider_conformance import attempt
from tests.testkit.provider_wires import (
    AnthropicWire,
    Call,
    GeminiWire,
    OpenAiChatWire,
    Reply,
    VertexClaudeWire,
    VertexGeminiWire,
    Wire,
)
from tests.testkit.provider_wires_bedrock import BedrockWire
from tests.testkit.provider_wires_cohere import CohereWire
from tests.testkit.provider_wires_gigachat import GigaChatWire
from tests.testkit.provider_wires_oci import OciWire
from tests.testkit.provider_wires_replicate import ReplicateWire
from tests.testkit.provider_wires_responses import OpenAiResponsesWire
from tests.testkit.provider_wires_watsonx import WatsonxWire

OPENAI_SHAPED: Final = frozenset({"openai", "azure"})
MUST_US: Final = {True: 40.0, False: 80.0}
"""By whether the format is OpenAI's own shape."""

_WORDS: Final = 2_000
_ROUNDS: Final = 7
_BLANK: Final = re.compile(rb"(?:\r\n\r\n|\n\n)")


class AzureWire(OpenAiChatWire):
    protocol: WireProtocol = AzureChat()


WIRES: Final[Mapping[str, Callable[[], Wire]]] = {
    "openai": OpenAiChatWire,
    "azure": AzureWire,
    "openai-responses": OpenAiResponsesWire,
    "anthropic": AnthropicWire,
    "gemini": GeminiWire,
    "cohere": CohereWire,
    "bedrock": BedrockWire,
    "vertex": VertexGeminiWire,
    "vertex-anthropic": VertexClaudeWire,
    "gigachat": GigaChatWire,
    "watsonx": WatsonxWire,
    "replicate": ReplicateWire,
    "oci": OciWire,
}

_TEXT: Final = Reply(words=tuple(f" word{number}" for number in range(_WORDS)))
_MIXED: Final = Reply(
    thoughts=tuple(f" thought{number}" for number in range(_WORDS // 2)),
    calls=tuple(Call(f"f{number}", {"text": "x" * 200}) for number in range(_WORDS // 80)),
    end="tool_calls",
)


def measure() -> dict[str, dict[str, float]]:
    """CPU microseconds per event, by format: of text, and of thoughts and calls."""
    figures = {}
    for name, make in WIRES.items():
        wire = make()
        figures[name] = {"text": _per_event(wire, _TEXT), "thoughts and calls": _per_event(wire, _MIXED)}
    return figures


def _per_event(wire: Wire, reply: Reply) -> float:
    events = split(wire.stream(reply))
    return min(_round(wire, events) for _ in range(_ROUNDS)) / len(events) * 1e6


def _round(wire: Wire, events: list[bytes]) -> float:
    decoder = wire.protocol.decoder(attempt(wire), Prepared("", b""))
    started = time.process_time()
    for event in events:
        decoder.feed(event)
    decoder.finish()
    spent = time.process_time() - started
    assert decoder.failure is None
    return spent


def split(raw: bytes) -> list[bytes]:
    """The reads of a stream whose events come one by one; binary frames begin with their length."""
    events = []
    place = 0
    if raw[:1] == b"\0":
        while place < len(raw):
            length = int.from_bytes(raw[place : place + 4])
            events.append(raw[place : place + length])
            place += length
        return events
    for blank in _BLANK.finditer(raw):
        events.append(raw[place : blank.end()])
        place = blank.end()
    return events


def main() -> int:
    figures = measure()
    if "--json" in sys.argv:
        sys.stdout.write(orjson.dumps(figures).decode() + "\n")
        return 0
    rows = [
        [name, *(f"{cost:.1f}" for cost in costs.values()), f"{MUST_US[name in OPENAI_SHAPED]:.0f}"]
        for name, costs in figures.items()
    ]
    sys.stdout.write(table(("CPU per streamed chunk, µs", "text", "thoughts and calls", "must"), rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

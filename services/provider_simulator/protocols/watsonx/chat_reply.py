"""Puts a script into watsonx.ai's chat: OpenAI's chunks as numbered events, without an end mark.

Owns the envelope. Does not own what is in it (openai/chat_reply.py). Invariant: numbers count every event of a stream.
"""

from collections.abc import Mapping

import orjson

from services.provider_simulator.core.script import Script
from services.provider_simulator.protocols.openai.chat_reply import DONE
from services.provider_simulator.protocols.openai.chat_reply import ChatReply as OpenAiReply
from services.provider_simulator.protocols.openai.errors import error_headers
from services.provider_simulator.protocols.watsonx.errors import simulated_body


class ChatReply(OpenAiReply):
    """One reply in IBM's words; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, *, created_s: int) -> None:
        super().__init__(script, model, include_usage=True, created_s=created_s)
        self._told = 0
        # Usage stands in the last chunk alone; other chunks do not name it.
        self._after = b"}\n\n"
        self._before = self._before.replace(
            b'"model":', b'"model_id":%b,"model_version":"1.0.0","model":' % orjson.dumps(model), 1
        )

    def opening(self) -> bytes:
        return self._numbered(super().opening())

    def events(self, start: int, stop: int) -> bytes:
        return self._numbered(super().events(start, stop))

    def closing(self) -> bytes:
        return self._numbered(super().closing().removesuffix(DONE))

    def failure_event(self) -> bytes:
        self._told += 1
        return b"id: %d\nevent: error\ndata: %b\n\n" % (self._told, simulated_body(self._script.status))

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._script.status), simulated_body(self._script.status)

    def _numbered(self, frames: bytes) -> bytes:
        written: list[bytes] = []
        for frame in frames.split(b"\n\n")[:-1]:
            self._told += 1
            written.append(b"id: %d\nevent: message\n%b\n\n" % (self._told, frame))
        return b"".join(written)

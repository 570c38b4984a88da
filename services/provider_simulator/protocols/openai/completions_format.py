"""`POST /completions`, the legacy route, as a NativeFormat.

Owns checks and the reply. Invariant: one event of the script is one text of the stream, as in chat.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from libs.clock import Clock
from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import Ask, Script
from services.provider_simulator.protocols.native import NativeRequest
from services.provider_simulator.protocols.openai.chat_reply import DONE, FINGERPRINT
from services.provider_simulator.protocols.openai.errors import RefusedError, simulated_error
from services.provider_simulator.protocols.openai.operations import (
    OpenAiRefusedError,
    OperationFormat,
    OperationReply,
    directive_in,
)
from services.provider_simulator.protocols.openai.parameters import (
    Check,
    anything,
    boolean,
    check_fields,
    integer,
    invalid_value,
    mapping,
    missing,
    number,
    one_choice,
    stop,
    stream_options,
    text,
    wrong_type,
)
from services.provider_simulator.protocols.openai.prompt_tokens import CountsText

PATH = "/completions"
_STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class CompletionRequest(NativeRequest):
    """A checked request; the answer begins with `echo`."""

    echo: str = ""
    include_usage: bool = False


class CompletionsFormat(OperationFormat):
    """See `NativeFormat`."""

    def __init__(self, clock: Clock, *, refuse_unknown: bool) -> None:
        super().__init__(refuse_unknown=refuse_unknown)
        self._clock = clock

    def read(self, request: web.Request, body: Mapping[str, Any], counter: CountsText) -> CompletionRequest:  # noqa: ARG002 (elsewhere the path says whether to stream)
        try:
            check_fields(body, _CHECKS, refuse_unknown=self._refuse_unknown)
            given = _prompt(body.get("prompt"))
        except RefusedError as refused:
            raise OpenAiRefusedError(refused) from None
        directive, prompt = directive_in([given], "prompt")
        options = body.get("stream_options") or {}
        return CompletionRequest(
            Ask(prompt, counter.count(given), max_tokens=body.get("max_tokens")),
            directive,
            stream=body.get("stream") is True,
            echo=given if body.get("echo") else "",
            include_usage=options.get("include_usage") is True,
        )

    def rendering(self, script: Script, model: str, asked: NativeRequest) -> "CompletionReply":
        assert isinstance(asked, CompletionRequest)
        return CompletionReply(script, model, asked, self._clock.now_ms() // 1000)


class CompletionReply(OperationReply):
    """One reply; implements `player.Rendering`."""

    def __init__(self, script: Script, model: str, asked: CompletionRequest, created_s: int) -> None:
        self._script = script
        self._echo = asked.echo
        self._usage_chunk = asked.include_usage and script.report_usage
        self._head: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(14)}",
            "object": "text_completion",
            "created": created_s,
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }
        words = "".join(event for event in script.events if isinstance(event, str))
        whole = {**self._head, "choices": [self._choice(asked.echo + words, script.finish_reason)]}
        if script.report_usage:
            whole["usage"] = self._usage()
        super().__init__(script, whole)

    @property
    def stream_headers(self) -> Mapping[str, str]:
        return _STREAM_HEADERS

    def opening(self) -> bytes:
        return self._chunk(self._choice(self._echo, None)) if self._echo else b""

    def events(self, start: int, stop: int) -> bytes:
        words = (event for event in self._script.events[start:stop] if isinstance(event, str))
        return b"".join(self._chunk(self._choice(word, None)) for word in words)

    def closing(self) -> bytes:
        """The finish chunk, the usage chunk where it is wanted, and the end mark."""
        finish = self._chunk(self._choice("", self._script.finish_reason))
        usage = b"data: " + orjson.dumps({**self._head, "choices": [], "usage": self._usage()}) + b"\n\n"
        return finish + (usage if self._usage_chunk else b"") + DONE

    def failure_event(self) -> bytes:
        return b"data: " + orjson.dumps({"error": simulated_error(self._script.status)}) + b"\n\n"

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]:
        headers, body = super().garbage(kind, stream=stream)
        if kind is Garbage.HTML or not stream:
            return headers, body
        return _STREAM_HEADERS, b"data: " + body + b"\n\n" + DONE

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps({**self._head, "choices": [choice]}) + b"\n\n"

    def _choice(self, words: str, finish_reason: str | None) -> dict[str, Any]:
        return {"text": words, "index": 0, "logprobs": None, "finish_reason": finish_reason}

    def _usage(self) -> dict[str, int]:
        prompt, completion = self._script.prompt_tokens, self._script.completion_tokens
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _prompt(value: Any) -> str:
    if value is None:
        raise missing("prompt")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise wrong_type("prompt", "one string", value)
    return value


def _no_suffix(param: str, value: Any) -> None:
    text(param, value)
    if value:
        raise invalid_value(param, "this model does not fill in between.")


_CHECKS: Mapping[str, Check] = {
    "model": anything,
    "prompt": anything,
    "suffix": _no_suffix,
    "max_tokens": integer(1, 2**31 - 1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "n": one_choice,
    "best_of": one_choice,
    "stream": boolean,
    "stream_options": stream_options,
    "logprobs": integer(0, 5),
    "echo": boolean,
    "stop": stop,
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "logit_bias": mapping,
    "seed": integer(-(2**63), 2**63 - 1),
    "user": text,
}

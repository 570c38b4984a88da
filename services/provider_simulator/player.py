"""Plays a script over HTTP: pace, cuts, silence, and who is still there.

Owns the order and the timing of bytes on the socket. Does not know wire formats: a Rendering makes the bytes. Invariant:
the outcome is ANSWERED only if the last byte was handed over while the caller was connected.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from services.provider_simulator.core.directive import Garbage
from services.provider_simulator.core.script import Ending, Script
from services.provider_simulator.core.statistics import Outcome

_EVENTS_PER_WRITE = 256


class Rendering(Protocol):
    """A script in the bytes of one wire format."""

    @property
    def whole_headers(self) -> Mapping[str, str]: ...

    @property
    def stream_headers(self) -> Mapping[str, str]: ...

    def whole(self) -> bytes: ...

    def opening(self) -> bytes: ...

    def events(self, start: int, stop: int) -> bytes: ...

    def closing(self) -> bytes: ...

    def failure_event(self) -> bytes: ...

    def failure(self) -> tuple[Mapping[str, str], bytes]: ...

    def garbage(self, kind: Garbage, *, stream: bool) -> tuple[Mapping[str, str], bytes]: ...


@dataclass(frozen=True, slots=True)
class Played:
    """What was sent, for the server to finish, and how it went."""

    response: web.StreamResponse
    outcome: Outcome


async def play(request: web.Request, script: Script, rendering: Rendering, *, stream: bool) -> Played:
    """Plays the script to its end.

    Raises:
        ConnectionError: the caller went away; so does CancelledError where the server cancels handlers.
    """
    await _wait(script.ttft_ms)
    if script.ending is Ending.REFUSE:
        headers, body = rendering.failure()
        return await _send(request, headers, body, Outcome.FAILED, script.status)
    if script.ending is Ending.GARBAGE:
        assert script.garbage is not None
        headers, body = rendering.garbage(script.garbage, stream=stream)
        return await _send(request, headers, body, Outcome.FAILED)
    if script.at == 0 and script.ending in {Ending.CUT, Ending.STALL}:
        return await _go_silent(request, web.Response(), script.ending)
    if stream:
        return await _play_stream(request, script, rendering)
    return await _play_whole(request, script, rendering)


async def _play_stream(request: web.Request, script: Script, rendering: Rendering) -> Played:
    response = web.StreamResponse(headers=rendering.stream_headers)
    await response.prepare(request)
    pending = rendering.opening()
    last = len(script.events) if script.ending is Ending.COMPLETE else script.at
    step = 1 if script.chunk_ms else _EVENTS_PER_WRITE
    for start in range(0, last, step):
        if start:
            await response.write(pending)
            pending = b""
            await _wait(script.chunk_ms)
        pending += rendering.events(start, min(start + step, last))
    if script.ending is Ending.COMPLETE:
        await response.write_eof(pending + rendering.closing())
        return Played(response, _finished(request, Outcome.ANSWERED))
    if script.ending is Ending.FAIL:
        if pending:
            await response.write(pending)
        await response.write_eof(rendering.failure_event())
        return Played(response, _finished(request, Outcome.FAILED))
    await response.write(pending)
    return await _go_silent(request, response, script.ending)


async def _play_whole(request: web.Request, script: Script, rendering: Rendering) -> Played:
    events = len(script.events) if script.ending is Ending.COMPLETE else script.at
    await _wait(script.chunk_ms * max(0, events - 1))
    if script.ending is Ending.COMPLETE:
        return await _send(request, rendering.whole_headers, rendering.whole(), Outcome.ANSWERED)
    if script.ending is Ending.FAIL:
        headers, body = rendering.failure()
        return await _send(request, headers, body, Outcome.FAILED, script.status)
    body = rendering.whole()
    part = max(1, len(body) * script.at // (len(script.events) + 1))
    response = web.StreamResponse(headers={**rendering.whole_headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[:part])
    return await _go_silent(request, response, script.ending)


async def _send(
    request: web.Request, headers: Mapping[str, str], body: bytes, outcome: Outcome, status: int = 200
) -> Played:
    response = web.Response(body=body, status=status, headers=headers)
    await response.prepare(request)
    await response.write_eof()
    return Played(response, _finished(request, outcome))


async def _go_silent(request: web.Request, response: web.StreamResponse, ending: Ending) -> Played:
    """Closes the socket, or says nothing more until the caller goes away or the request's time is over."""
    if ending is Ending.STALL:
        await asyncio.get_running_loop().create_future()
    hang_up(request)
    return Played(response, Outcome.CUT)


def hang_up(request: web.Request) -> None:
    """Closes the socket once what was written is out; the server's own finishing then has nobody to write to."""
    if request.transport is not None:
        request.transport.close()


def _finished(request: web.Request, outcome: Outcome) -> Outcome:
    gone = request.transport is None or request.transport.is_closing()
    return Outcome.CUT if gone else outcome


async def _wait(delay_ms: int) -> None:
    if delay_ms:
        await asyncio.sleep(delay_ms / 1000)

"""One attempt at one provider: send, read within the limits, decode.

Owns the order of these steps and which limit holds when. Does not know gRPC, and no wire format. Invariant: leaving
an attempt, in whatever way, ends the provider's call.

Limits: `connect` until there is a connection; `first_event` until the first content of a stream, or the head of a
reply that does not stream; `idle` between two reads after that; `total` over all. Comments of a queueing provider
count as life after the first content only.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, Self

from libs.clock import Clock
from libs.errors import AppError
from services.provider_adapter.credential_limits import CredentialLimits, Entered
from services.provider_adapter.deadlines import Deadline, PhaseExpiredError
from services.provider_adapter.http_calls import Call, HttpCalls
from services.provider_adapter.media.fetcher import MediaFetcher
from services.provider_adapter.protocols.failures import Failure, FailureClass, Phase, ProviderFailedError
from services.provider_adapter.protocols.port import (
    NO_MEDIA,
    Attempt,
    Prepared,
    ReplyFacts,
    SettlesLater,
    Step,
)
from services.provider_adapter.registry import Upstream
from services.provider_adapter.steps import StepCalls
from services.provider_adapter.tool_calls.judge import ReplyJudge, Verdict
from services.provider_adapter.tool_calls.schemas import Schemas

BODY_LIMIT_BYTES = 64 * 1024 * 1024
ERROR_BODY_LIMIT_BYTES = 64 * 1024
LARGE_BODY_BYTES = 1024 * 1024
"""Reading a reply from here on takes so long (many vectors, pictures) that others would feel it on the loop."""
MOST_JUDGED_BODY_BYTES = 1024 * 1024
"""The tools of a longer request are not kept until its reply has come: parsed, they may be ten times their text."""
_UNKEPT: Final[list[Any]] = [{}]
"""Stands for tools that may bear any name."""
_ERROR_BODY_S = 5.0
# Headers that the host's own word and the request's say together.
_LISTS = frozenset({"anthropic-beta"})


class Limits(NamedTuple):
    """Seconds; the defaults of DESIGN §11."""

    connect_s: float = 5.0
    first_event_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 900.0


class WholeReply(NamedTuple):
    """A reply that did not stream."""

    json: bytes
    facts: ReplyFacts
    status: int
    first_event_s: float
    total_s: float
    tool_calls: Verdict


class Attempts:
    """Runs attempts over one HTTP client; `media` fetches what callers name by address, None: nothing is fetched."""

    def __init__(
        self,
        calls: HttpCalls,
        clock: Clock,
        media: MediaFetcher | None = None,
        limits: CredentialLimits | None = None,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._media = media
        self._limits = limits or CredentialLimits()
        self._schemas = Schemas()
        self._steps = StepCalls(calls)

    async def whole(self, upstream: Upstream, attempt: Attempt, limits: Limits) -> WholeReply:
        """The reply of an attempt that does not stream.

        Raises:
            ProviderFailedError: it failed.
        """
        attempt = _as_called(attempt, upstream)
        prepared = await self._prepare(upstream, attempt, limits)
        entered = self._limits.enter(upstream.slug, upstream.credential)
        wait = _Wait(limits)
        call: Call | None = None
        complete = False
        step: Step | None = None
        try:
            call = await self._open(upstream, prepared, wait)
            first_event_s = wait.elapsed_s()
            body = await _read_all(call, wait)
            complete = True
            while (step := _next_step(upstream, body, stream=False)) is not None:
                call.close(complete=complete)
                complete = False
                wait.until_first_event()
                with wait.deadline:
                    await asyncio.sleep(step.delay_s)
                    call = await self._steps.get(upstream, step.address, limits.connect_s)
                await self._check(upstream, call, wait)
                first_event_s = wait.elapsed_s()
                body = await _read_all(call, wait)
                complete = True
            if len(body) < LARGE_BODY_BYTES:
                json, facts = upstream.protocol.whole(attempt, prepared, body)
            else:
                json, facts = await asyncio.to_thread(upstream.protocol.whole, attempt, prepared, body)
            facts.system_fingerprint = facts.system_fingerprint or attempt.system_fingerprint
            total_s = wait.elapsed_s()
            return WholeReply(json, facts, call.status, first_event_s, total_s, self._judged(prepared, json, facts))
        except PhaseExpiredError as error:
            raise ProviderFailedError(_expired(error, call)) from None
        finally:
            if step is not None:
                self._steps.stop(upstream, step.stop)
            entered.leave()
            wait.close()
            if call is not None:
                call.close(complete=complete)

    async def stream(self, upstream: Upstream, attempt: Attempt, limits: Limits) -> "StreamedReply":
        """The reply of an attempt that streams, once its head is there. Close it.

        Raises:
            ProviderFailedError: it failed.
        """
        attempt = _as_called(attempt, upstream)
        prepared = await self._prepare(upstream, attempt, limits)
        entered = self._limits.enter(upstream.slug, upstream.credential)
        wait = _Wait(limits)
        step: Step | None = None
        try:
            call = await self._open(upstream, prepared, wait)
            if upstream.steps is not None:
                step = await self._first_step(upstream, call, wait)
                with wait.deadline:
                    call = await self._steps.get(upstream, step.address, limits.connect_s)
                await self._check(upstream, call, wait)
        except BaseException as error:
            if step is not None:
                self._steps.stop(upstream, step.stop)
            entered.leave()
            wait.close()
            if isinstance(error, PhaseExpiredError):
                raise ProviderFailedError(_expired(error, None)) from None
            raise
        after = None if step is None else _After(self._steps, upstream, step)
        return StreamedReply(upstream, attempt, prepared, call, wait, entered, self._judge(prepared), after)

    async def _first_step(self, upstream: Upstream, call: Call, wait: "_Wait") -> Step:
        try:
            body = await _read_all(call, wait)
        finally:
            call.close(complete=call.at_end)
        step = _next_step(upstream, body, stream=True)
        if step is None:
            raise ProviderFailedError(Failure(FailureClass.UPSTREAM, call.status, "The provider gave no stream."))
        wait.until_first_event()
        return step

    def _judge(self, prepared: Prepared) -> ReplyJudge | None:
        return ReplyJudge(prepared.tools, self._schemas) if prepared.tools else None

    def _judged(self, prepared: Prepared, reply: bytes, facts: ReplyFacts) -> Verdict:
        judge = self._judge(prepared)
        if judge is None:
            return Verdict.NONE
        judge.read(reply)
        return judge.verdict(facts.finish_reason)

    async def _prepare(self, upstream: Upstream, attempt: Attempt, limits: Limits) -> Prepared:
        """The provider's request; what it takes to fetch media is no part of the provider's time."""
        try:
            if self._media is not None and upstream.media is not NO_MEDIA:
                attempt = await self._media.with_bytes(attempt, upstream.media, limits.total_s)
            prepared = upstream.protocol.prepare(attempt, upstream.dialect)
        except AppError as error:  # the body itself is wrong: no provider can help
            raise ProviderFailedError(Failure(FailureClass.INVALID_REQUEST, message=error.message)) from None
        if prepared.tools and len(attempt.body) > MOST_JUDGED_BODY_BYTES:
            return prepared._replace(tools=_UNKEPT)
        return prepared

    async def _open(self, upstream: Upstream, prepared: Prepared, wait: "_Wait") -> Call:
        wait.until_first_event()
        url = upstream.url(prepared.path)
        with wait.deadline:
            headers = await _headers(upstream, prepared, url)
            call = await self._calls.post(url, headers, prepared.body, wait.limits.connect_s, upstream.proxy)
        await self._check(upstream, call, wait)
        return call

    async def _check(self, upstream: Upstream, call: Call, wait: "_Wait") -> None:
        """Whether an answer is a success.

        Raises:
            ProviderFailedError: it is none; the call is closed.
        """
        if 200 <= call.status < 300:
            return
        try:
            body = await _read_some(call, wait)
        finally:
            call.close(complete=call.at_end)
        if call.status == 401 and upstream.authorizer is not None:
            upstream.authorizer.refused()
        now_s = self._clock.now_ms() / 1000
        raise ProviderFailedError(upstream.protocol.failure(call.status, call.headers, body, now_s))


def _as_called(attempt: Attempt, upstream: Upstream) -> Attempt:
    if not upstream.fingerprint and not upstream.account:
        return attempt
    return replace(attempt, system_fingerprint=upstream.fingerprint, account=upstream.account)


def _next_step(upstream: Upstream, body: bytes, *, stream: bool) -> Step | None:
    return None if upstream.steps is None else upstream.steps.next_step(body, stream=stream)


class _After(NamedTuple):
    """What is to be done about a reply beside its stream."""

    steps: StepCalls
    upstream: Upstream
    step: Step

    async def settle(self, decoder: object) -> None:
        if isinstance(decoder, SettlesLater):
            await self.steps.settle(self.upstream, self.step, decoder)

    def stop(self) -> None:
        self.steps.stop(self.upstream, self.step.stop)


class StreamedReply:
    """A reply on its way. `read` until it gives nothing, then look at `facts`; `close` in any case.

    Attributes:
        tool_calls: what is to be said of them, once nothing more is to be read.
    """

    def __init__(
        self,
        upstream: Upstream,
        attempt: Attempt,
        prepared: Prepared,
        call: Call,
        wait: "_Wait",
        entered: Entered,
        judge: ReplyJudge | None,
        after: _After | None = None,
    ) -> None:
        self._judge = judge
        self._given = b""
        self._after = after
        self._entered = entered
        self._protocol = upstream.protocol
        self._decoder = upstream.protocol.decoder(attempt, prepared)
        self._call = call
        self._wait = wait
        self._failure: Failure | None = None
        self._ended = False
        self._fresh = True
        self._producing = False
        self.status = call.status
        self.first_event_s = 0.0
        self.total_s = 0.0
        self.tool_calls = Verdict.NONE

    @property
    def facts(self) -> ReplyFacts:
        return self._decoder.facts

    async def read(self) -> bytes:
        """Finished chunks, all that have arrived; empty at the end.

        Raises:
            ProviderFailedError: the reply broke; what was given out before stays valid.
        """
        if self._judge is not None and self._given:
            # What was given out before has left by now: looking at it holds up nothing.
            self._judge.feed(self._given)
            self._given = b""
        while not self._ended:
            given = await self._step()
            if given:
                self._given = given if self._judge is not None else b""
                return given
        if self._failure is not None:
            raise ProviderFailedError(self._failure)
        if self._judge is not None:
            self.tool_calls = self._judge.verdict(self.facts.finish_reason)
        return b""

    def close(self) -> None:
        if self._after is not None and not self._decoder.ended:
            self._after.stop()
        self._entered.leave()
        self._wait.close()
        self._call.close(complete=self._ended and self._failure is None)

    async def _step(self) -> bytes:
        wait = self._wait
        if self._producing:
            wait.until_next_read()
        else:
            wait.until_first_event()
        try:
            with wait.deadline:
                data = await self._call.read()
        except PhaseExpiredError as error:
            return self._end(_expired(error, self._call))
        except ProviderFailedError as error:
            return self._end(error.failure)
        if not data:
            return self._end(None)
        if self._fresh:
            self._fresh = False
            if data.lstrip()[:1] in {b"{", b"[", b"<"}:
                return await self._refuse(data)
        decoder = self._decoder
        given = decoder.feed(data)
        if not self._producing and decoder.facts.has_content:
            self._producing = True
            self.first_event_s = wait.elapsed_s()
        if decoder.ended or decoder.failure is not None:
            if self._after is not None and decoder.failure is None:
                await self._after.settle(decoder)
            given += self._end(None)
        return given

    def _end(self, broken: Failure | None) -> bytes:
        """Nothing further is read. What broke after the reply had finished harms nobody."""
        self._ended = True
        given = self._decoder.finish()
        failure = self._decoder.failure
        self._failure = broken if failure is not None and broken is not None else failure
        self.total_s = self._wait.elapsed_s()
        self._wait.close()
        self._call.close(complete=self._failure is None)
        return given

    async def _refuse(self, data: bytes) -> bytes:
        """The body is no event stream: an error with status 200, or something that is not ours to understand."""
        body = data + await _read_some(self._call, self._wait)
        self._ended = True
        self._failure = self._protocol.failure(self.status, self._call.headers, body, 0)
        return b""


class _Wait:
    """The limits of one attempt against the loop's clock."""

    __slots__ = ("_loop", "_started", "deadline", "limits")

    def __init__(self, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self.deadline = Deadline(self._loop)
        self.limits = limits

    def elapsed_s(self) -> float:
        return self._loop.time() - self._started

    def until_first_event(self) -> None:
        self._set(self._started + self.limits.first_event_s, Phase.FIRST_EVENT)

    def until_next_read(self) -> None:
        self._set(self._loop.time() + self.limits.idle_s, Phase.IDLE)

    def at_most(self, seconds: float) -> Self:
        self._set(self._loop.time() + seconds, Phase.IDLE)
        return self

    def close(self) -> None:
        self.deadline.close()

    def _set(self, when: float, phase: Phase) -> None:
        end = self._started + self.limits.total_s
        if when < end:
            self.deadline.set(when, phase)
        else:
            self.deadline.set(end, Phase.TOTAL)


async def _headers(upstream: Upstream, prepared: Prepared, url: str) -> Mapping[str, str]:
    """Those of the host, of the request, and of whoever proves who calls."""
    if not prepared.headers and upstream.authorizer is None:
        return upstream.headers
    headers = upstream.headers.copy()
    headers.update(prepared.headers)
    for name in _LISTS & prepared.headers.keys() & upstream.headers.keys():
        headers[name] = f"{upstream.headers[name]},{prepared.headers[name]}"
    if upstream.authorizer is not None:
        headers.update(await upstream.authorizer.headers("POST", url, prepared.body))
    return headers


async def _read_all(call: Call, wait: _Wait) -> bytes:
    """The whole body of a success."""
    parts: list[bytes] = []
    size = 0
    while True:
        wait.until_next_read()
        with wait.deadline:
            part = await call.read()
        if call.at_end and not parts and len(part) <= BODY_LIMIT_BYTES:
            return part
        if not part:
            return b"".join(parts)
        size += len(part)
        if size > BODY_LIMIT_BYTES:
            raise ProviderFailedError(Failure(FailureClass.UPSTREAM, call.status, "The reply is too large."))
        parts.append(part)


async def _read_some(call: Call, wait: _Wait) -> bytes:
    """The beginning of a body that only says what went wrong; as much of it as comes soon."""
    parts: list[bytes] = []
    size = 0
    wait.at_most(_ERROR_BODY_S)
    try:
        with wait.deadline:
            while size < ERROR_BODY_LIMIT_BYTES and (part := await call.read()):
                parts.append(part)
                size += len(part)
    except (PhaseExpiredError, ProviderFailedError):
        pass
    return b"".join(parts)[:ERROR_BODY_LIMIT_BYTES]


def _expired(error: PhaseExpiredError, call: Call | None) -> Failure:
    status = 0 if call is None else call.status
    return Failure(FailureClass.TIMEOUT, status, phase=error.phase)

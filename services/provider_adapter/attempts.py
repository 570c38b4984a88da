"""One attempt at one provider: send, read within the limits, decode.

Owns the order of these steps. Does not know gRPC, and no wire format; limits are `waiting`'s, streams `streamed_reply`'s.
Invariant: leaving an attempt, in whatever way, ends the provider's call.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from libs.clock import Clock
from libs.errors import AppError
from services.provider_adapter.credential_limits import CredentialLimits
from services.provider_adapter.deadlines import PhaseExpiredError
from services.provider_adapter.http_calls import Call, HttpCalls
from services.provider_adapter.media.fetcher import MediaFetcher
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import (
    NO_MEDIA,
    Attempt,
    Prepared,
    ReplyFacts,
    Step,
)
from services.provider_adapter.registry import Upstream
from services.provider_adapter.steps import StepCalls
from services.provider_adapter.streamed_reply import After, StreamedReply
from services.provider_adapter.tool_calls.judge import ReplyJudge, Verdict
from services.provider_adapter.tool_calls.schemas import Schemas
from services.provider_adapter.waiting import Limits, Wait, expired, read_all, read_some

LARGE_BODY_BYTES = 1024 * 1024
"""Reading a reply from here on takes so long (many vectors, pictures) that others would feel it on the loop."""
MOST_JUDGED_BODY_BYTES = 1024 * 1024
"""The tools of a longer request are not kept until its reply has come: parsed, they may be ten times their text."""
_UNKEPT: Final[list[Any]] = [{}]
"""Stands for tools that may bear any name."""
# Headers that the host's own word and the request's say together.
_LISTS = frozenset({"anthropic-beta"})


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
        wait = Wait(limits)
        call: Call | None = None
        complete = False
        step: Step | None = None
        try:
            call = await self._open(upstream, prepared, wait)
            first_event_s = wait.elapsed_s()
            body = await read_all(call, wait)
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
                body = await read_all(call, wait)
                complete = True
            if len(body) < LARGE_BODY_BYTES:
                json, facts = upstream.protocol.whole(attempt, prepared, body)
            else:
                json, facts = await asyncio.to_thread(upstream.protocol.whole, attempt, prepared, body)
            facts.system_fingerprint = facts.system_fingerprint or attempt.system_fingerprint
            total_s = wait.elapsed_s()
            return WholeReply(json, facts, call.status, first_event_s, total_s, self._judged(prepared, json, facts))
        except PhaseExpiredError as error:
            raise ProviderFailedError(expired(error, call)) from None
        finally:
            if step is not None:
                self._steps.stop(upstream, step.stop)
            entered.leave()
            wait.close()
            if call is not None:
                call.close(complete=complete)

    async def stream(self, upstream: Upstream, attempt: Attempt, limits: Limits) -> StreamedReply:
        """The reply of an attempt that streams, once its head is there. Close it.

        Raises:
            ProviderFailedError: it failed.
        """
        attempt = _as_called(attempt, upstream)
        prepared = await self._prepare(upstream, attempt, limits)
        entered = self._limits.enter(upstream.slug, upstream.credential)
        wait = Wait(limits)
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
                raise ProviderFailedError(expired(error, None)) from None
            raise
        after = None if step is None else After(self._steps, upstream, step)
        return StreamedReply(upstream, attempt, prepared, call, wait, entered, self._judge(prepared), after)

    async def _first_step(self, upstream: Upstream, call: Call, wait: Wait) -> Step:
        try:
            body = await read_all(call, wait)
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

    async def _open(self, upstream: Upstream, prepared: Prepared, wait: Wait) -> Call:
        wait.until_first_event()
        url = upstream.url(prepared.path)
        with wait.deadline:
            headers = await _headers(upstream, prepared, url)
            call = await self._calls.post(url, headers, prepared.body, wait.limits.connect_s, upstream.proxy)
        await self._check(upstream, call, wait)
        return call

    async def _check(self, upstream: Upstream, call: Call, wait: Wait) -> None:
        """Whether an answer is a success.

        Raises:
            ProviderFailedError: it is none; the call is closed.
        """
        if 200 <= call.status < 300:
            return
        try:
            body = await read_some(call, wait)
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

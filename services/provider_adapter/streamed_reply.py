"""A reply that streams, from the provider's bytes to finished chunks.

Owns the order of reading, decoding and ending. Does not open calls. Invariant: `close` ends the provider's call, however
far the reply came.
"""

from typing import NamedTuple

from services.provider_adapter.credential_limits import Entered
from services.provider_adapter.deadlines import PhaseExpiredError
from services.provider_adapter.http_calls import Call
from services.provider_adapter.protocols.failures import Failure, ProviderFailedError
from services.provider_adapter.protocols.port import Attempt, Prepared, ReplyFacts, SettlesLater, Step
from services.provider_adapter.registry import Upstream
from services.provider_adapter.steps import StepCalls
from services.provider_adapter.tool_calls.judge import ReplyJudge, Verdict
from services.provider_adapter.waiting import Wait, expired, read_some


class After(NamedTuple):
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
        wait: Wait,
        entered: Entered,
        judge: ReplyJudge | None,
        after: After | None = None,
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
            return self._end(expired(error, self._call))
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
        body = data + await read_some(self._call, self._wait)
        self._ended = True
        self._failure = self._protocol.failure(self.status, self._call.headers, body, 0)
        return b""

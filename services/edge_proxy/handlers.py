"""The story of a request: plan, hold, attempt after attempt, relay, record (DESIGN §3).

Owns the order of these steps and what each failure means. Does not know HTTP, SQL or a provider's wire format.
Invariants: fallback happens only before the first byte to the caller; what is charged is durable in the spool before
the caller gets the last byte; a generation that began leaves exactly one record, however it ends.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from switchyard.events.v1 import usage_recorded_pb2 as events
from switchyard.keys.v1.keys_pb2 import Key
from switchyard.provider.v1.provider_pb2 import End, GenerateResponse
from switchyard.routing.v1.routing_pb2 import Attempt

from libs.clock import Clock
from libs.errors import AppError, Kind, internal
from libs.ids import generation_id
from libs.logs import facts
from libs.metrics import Metrics
from libs.pricing import Units
from libs.pricing_messages import prices_from_proto, units_from_proto
from libs.tokens import TokenCounter
from services.edge_proxy.convert import generate_request, hold_request, plan_request
from services.edge_proxy.core.attempts import FailedAttempt, final_error, rejects_the_model
from services.edge_proxy.core.conversation import session_key
from services.edge_proxy.core.error_body import error_event
from services.edge_proxy.core.metering import Seen, Source, meter
from services.edge_proxy.core.request import CHAT, InferenceRequest
from services.edge_proxy.core.tally import Tally, count_reply
from services.edge_proxy.core.usage_json import usage_json
from services.edge_proxy.generation import CallerFacts, Generation, usage_event
from services.edge_proxy.ports import Adapter, ClientGoneError, Ledger, Router, Sink, UsageLog
from services.edge_proxy.routing_json import explanation_json, routing_metadata

logger = logging.getLogger(__name__)

_CLIENT_CLOSED: Final = 499
_CALL_SLACK_S: Final = 5.0
_UNDECIDED: Final = frozenset({Kind.NO_ROUTE, Kind.TIMEOUT, Kind.INTERNAL})
"""Failures after which a hold may stand all the same."""
DONE: Final = b"data: [DONE]\n\n"


class Generations:
    """Runs generations on top of the services behind the edge.

    Args:
        owner: this process's name for the ledger's leases.
        spawn: keeps a coroutine running after its request is gone.
    """

    def __init__(
        self,
        *,
        router: Router,
        ledger: Ledger,
        adapter: Adapter,
        usage_log: UsageLog,
        counter: TokenCounter,
        clock: Clock,
        metrics: Metrics,
        owner: str,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Future[None]],
    ) -> None:
        self._router = router
        self._ledger = ledger
        self._adapter = adapter
        self._usage_log = usage_log
        self._counter = counter
        self._clock = clock
        self._metrics = metrics
        self._owner = owner
        self._spawn = spawn

    def new(self, key: Key, request: InferenceRequest, caller: CallerFacts) -> Generation:
        now_ms = self._clock.now_ms()
        generation = Generation(generation_id(now_ms), key, request, caller, now_ms, self._clock.monotonic_s())
        session_id = request.session_id or caller.session_id
        generation.session_key = session_key(key.account_id, session_id, request.conversation)
        return generation

    async def explain(self, generation: Generation) -> bytes:
        """The plan and its reasons, as JSON; nothing is held, run or recorded."""
        return explanation_json(generation, await self._router.explain(plan_request(generation)))

    async def admit(self, generation: Generation) -> None:
        """Plans and holds; afterwards the generation must be run to its end with `complete` or `stream`."""
        request, key = generation.request, generation.key
        generation.plan = await self._router.plan(plan_request(generation))
        hold = hold_request(generation.id, key, request, generation.plan, self._owner)
        try:
            granted = await self._ledger.hold(hold)
        except asyncio.CancelledError:
            self._spawn(self._ledger.void(generation.id))
            raise
        except AppError as error:
            if error.kind in _UNDECIDED:
                self._spawn(self._ledger.void(generation.id))
            raise
        if granted.tokens < hold.tokens:
            generation.granted_tokens = granted.tokens

    async def complete(self, generation: Generation) -> bytes:
        """Runs a generation that does not stream; the whole reply, recorded already."""
        try:
            return await self._complete(generation)
        finally:
            self._leave_record(generation)

    async def stream(self, generation: Generation, sink: Sink) -> None:
        """Runs a generation that streams.

        Raises:
            AppError: no last event was written; the caller is to be told.
            ClientGoneError: the caller left.
        """
        try:
            await self._stream(generation, sink)
        finally:
            self._leave_record(generation)

    def _leave_record(self, generation: Generation) -> None:
        """Whatever went wrong, even a bug of ours: no hold stays behind, and no provider goes on for nobody."""
        if not generation.recorded:
            if generation.call is not None:
                generation.call.cancel()
            self._spawn(self._record_failure(generation, internal()))

    async def _complete(self, generation: Generation) -> bytes:
        try:
            attempt, replies, first = await self._first_reply(generation)
            reply = first.result.json
            end = await self._end_of(replies)
        except AppError as error:
            await self._record_failure(generation, error)
            raise
        except asyncio.CancelledError:
            self._spawn(self._record_cancelled(generation, None))
            raise
        self._succeeded(generation, attempt, end)
        is_counted = generation.request.completes and not end.HasField("usage")
        counted = count_reply(reply, self._counter) if is_counted else 0
        self._meter(generation, attempt, end, reply_bytes=len(reply), counted=counted)
        await self._record(generation, events.OUTCOME_COMPLETED, 200)
        usage = usage_json(generation.metered, generation.request.operation, is_byok=attempt.is_byok)
        return b"".join((reply[:-1], b',"usage":', usage, _routed(generation), b"}"))

    async def _stream(self, generation: Generation, sink: Sink) -> None:
        tally = Tally(self._counter)
        try:
            attempt, replies, first = await self._first_reply(generation)
            end = await self._relay(first, replies, tally, sink)
        except AppError as error:
            await self._record_failure(generation, error)
            if not tally.total_bytes:
                raise
            await sink.write(self._broken_off(generation, error))
            return
        except (asyncio.CancelledError, ClientGoneError):
            self._spawn(self._record_cancelled(generation, tally))
            raise
        self._succeeded(generation, attempt, end)
        counted = 0 if end.HasField("usage") else tally.tokens()
        self._meter(generation, attempt, end, reply_bytes=tally.total_bytes, counted=counted)
        await self._record(generation, events.OUTCOME_COMPLETED, 200)
        await sink.write(self._last_events(generation, attempt, end))

    async def _first_reply(
        self, generation: Generation
    ) -> tuple[Attempt, AsyncIterator[GenerateResponse], GenerateResponse]:
        """Attempts the planned endpoints in order until one answers.

        Raises:
            AppError: none did; what the caller is to be told.
        """
        user = generation.request.user
        user_hash = hashlib.sha256(f"{generation.key.account_id}:{user}".encode()).hexdigest() if user else ""
        rejecting: set[str] = set()
        for attempt in generation.plan.attempts:
            if attempt.model in rejecting:
                continue
            generation.served = attempt
            record = self._started(generation, attempt)
            timeout_s = attempt.limits.total_ms / 1000 + _CALL_SLACK_S
            generation.call = self._adapter.generate(generate_request(generation, attempt, user_hash), timeout_s)
            try:
                replies = aiter(generation.call)
                first = await anext(replies)
            except StopAsyncIteration:
                error = internal()
            except AppError as failure:
                error = failure
            else:
                generation.first_event_ms = self._elapsed_ms(generation)
                record.first_event_ms = self._clock.now_ms() - record.started_at_ms
                return attempt, replies, first
            failed = self._failed(generation, attempt, record, error)
            if rejects_the_model(failed):
                rejecting.add(attempt.model)
        generation.served = None
        if not generation.failed:
            raise internal()
        raise final_error(generation.failed, generation.request.models)

    async def _relay(
        self, first: GenerateResponse, replies: AsyncIterator[GenerateResponse], tally: Tally, sink: Sink
    ) -> End:
        """Forwards ready-made events as they come; the attempt's last message."""
        reply = first
        while True:
            sse = reply.chunks.sse
            if sse:
                tally.add(sse)
                await sink.write(sse)
            elif reply.HasField("end"):
                return reply.end
            try:
                reply = await anext(replies)
            except StopAsyncIteration:
                raise internal() from None

    async def _end_of(self, replies: AsyncIterator[GenerateResponse]) -> End:
        async for reply in replies:
            if reply.HasField("end"):
                return reply.end
        raise internal()

    def _last_events(self, generation: Generation, attempt: Attempt, end: End) -> bytes:
        """The usage chunk and `[DONE]`."""
        head = self._chunk_head(generation, attempt, end)
        return b"".join(
            (head, usage_json(generation.metered, CHAT, is_byok=attempt.is_byok), _routed(generation), b"}\n\n", DONE)
        )

    def _chunk_head(self, generation: Generation, attempt: Attempt, end: End) -> bytes:
        return (
            f'data: {{"id":"{generation.id}","object":"chat.completion.chunk","created":{generation.created_s},'
            f'"model":{_quoted(attempt.model)},"provider":{_quoted(attempt.provider_name)},'
            f'"system_fingerprint":{_quoted(end.system_fingerprint) if end.system_fingerprint else "null"},'
            f'"choices":[],"usage":'
        ).encode()

    def _broken_off(self, generation: Generation, error: AppError) -> bytes:
        served = generation.served
        return error_event(
            error,
            generation_id=generation.id,
            created_s=generation.created_s,
            model=served.model if served else generation.request.models[0],
            provider=served.provider_name if served else "",
            routing=routing_metadata(generation) if generation.explains else b"",
        )

    def _meter(self, generation: Generation, attempt: Attempt, end: End, *, reply_bytes: int, counted: int) -> None:
        request = generation.request
        units, source = _units(request, attempt, end, counted)
        seen = Seen(
            prompt_bytes=len(request.body) if request.prompt_bytes is None else request.prompt_bytes,
            reply_bytes=reply_bytes,
            text_only=request.text_only,
            max_tokens=generation.max_tokens,
            finish_reason=end.finish_reason,
            completes=request.completes,
            search_units=request.search_units,
        )
        generation.end = end
        generation.metered = meter(units, source, prices_from_proto(attempt.price), seen)
        provider = attempt.provider_slug
        if generation.metered.review_reason:
            self._metrics.usage_in_review.inc()
        else:
            self._metrics.tokens.labels(provider, "prompt").inc(units.prompt_tokens)
            self._metrics.tokens.labels(provider, "completion").inc(units.completion_tokens)
        self._metrics.first_token_seconds.labels(provider).observe(generation.first_event_ms / 1000)

    async def _record(self, generation: Generation, outcome: "events.Outcome.ValueType", http_status: int) -> None:
        """Makes the record durable; shielded, so that a caller who leaves now cannot undo it."""
        if generation.recorded:
            return
        generation.recorded = True
        now_ms = self._clock.now_ms()
        event = usage_event(
            generation, outcome, http_status=http_status, now_ms=now_ms, elapsed_ms=self._elapsed_ms(generation)
        )
        await asyncio.shield(self._spawn(self._append(event, generation)))

    async def _append(self, event: events.UsageRecorded, generation: Generation) -> None:
        """What cannot be recorded will never be settled, so its hold goes back."""
        durable = False
        try:
            await self._usage_log.append(event, generation.caller.traceparent)
            durable = True
        except AppError as error:
            logger.error(  # noqa: TRY400 (the error says it all)
                "usage cannot be recorded",
                extra=facts(generation_id=generation.id, reason=error.reason),
            )
            raise
        finally:
            if not durable:
                self._spawn(self._ledger.void(generation.id))

    async def _record_failure(self, generation: Generation, error: AppError) -> None:
        """A failed generation costs nothing; failing to record it changes nothing for the caller."""
        if generation.attempt_records and generation.attempt_records[-1].outcome == 0:
            self._broke(generation, error)
        with suppress(AppError):
            await self._record(generation, events.OUTCOME_FAILED, error.http_status)

    async def _record_cancelled(self, generation: Generation, tally: Tally | None) -> None:
        """The caller left: what was produced until then is charged, and nothing if nothing was (DESIGN §11)."""
        records = generation.attempt_records
        if records and records[-1].outcome == 0:
            records[-1].outcome = events.ATTEMPT_OUTCOME_ABANDONED
            records[-1].total_ms = self._clock.now_ms() - records[-1].started_at_ms
            self._metrics.attempts.labels(records[-1].provider_slug, "abandoned").inc()
        attempt = generation.served
        counted = tally.tokens() if tally is not None else 0
        if attempt is not None and counted:
            end = End(finish_reason="")
            self._meter(generation, attempt, end, reply_bytes=tally.total_bytes if tally else 0, counted=counted)
        with suppress(AppError):
            await self._record(generation, events.OUTCOME_CANCELLED, _CLIENT_CLOSED)

    def _started(self, generation: Generation, attempt: Attempt) -> events.AttemptRecord:
        record = events.AttemptRecord(
            endpoint_id=attempt.endpoint_id,
            provider_slug=attempt.provider_slug,
            provider_name=attempt.provider_name,
            model=attempt.model,
            is_byok=attempt.is_byok,
            started_at_ms=self._clock.now_ms(),
            credential_id=attempt.credential_id,
        )
        generation.attempt_records.append(record)
        return record

    def _failed(
        self, generation: Generation, attempt: Attempt, record: events.AttemptRecord, error: AppError
    ) -> FailedAttempt:
        failed = FailedAttempt(attempt.provider_slug, attempt.provider_name, attempt.model, error)
        generation.failed.append(failed)
        record.outcome = events.ATTEMPT_OUTCOME_FAILED
        record.status = failed.status
        record.error_class = failed.error_class
        record.total_ms = self._clock.now_ms() - record.started_at_ms
        self._metrics.attempts.labels(attempt.provider_slug, failed.error_class).inc()
        return failed

    def _broke(self, generation: Generation, error: AppError) -> None:
        """The attempt that was answering failed after its first event."""
        if generation.served is not None:
            self._failed(generation, generation.served, generation.attempt_records[-1], error)

    def _succeeded(self, generation: Generation, attempt: Attempt, end: End) -> None:
        record = generation.attempt_records[-1]
        record.outcome = events.ATTEMPT_OUTCOME_SUCCEEDED
        record.status = end.upstream_status
        record.first_event_ms = end.first_event_ms
        record.total_ms = end.total_ms
        record.upstream_id = end.upstream_id
        record.tool_calls = end.tool_calls
        self._metrics.attempts.labels(attempt.provider_slug, "succeeded").inc()

    def _elapsed_ms(self, generation: Generation) -> int:
        return round((self._clock.monotonic_s() - generation.arrived_s) * 1000)


def _units(request: InferenceRequest, attempt: Attempt, end: End, counted: int) -> tuple[Units, Source]:
    """The provider's figures, else our own; searches that it does not count are counted here."""
    usage = end.usage
    searches = usage.search_units or (request.search_units if attempt.price.request else 0)
    if end.HasField("usage") and (usage.prompt_tokens or request.completes or not attempt.price.prompt):
        return units_from_proto(usage)._replace(search_units=searches), Source.PROVIDER
    return Units(request.prompt_tokens, counted, search_units=searches), Source.COUNTED


def _quoted(text: str) -> str:
    """A JSON string; names of models and providers are plain text almost always."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in text) + '"'


def _routed(generation: Generation) -> bytes:
    """One more field of a reply, for callers who asked how it was routed."""
    return b',"openrouter_metadata":' + routing_metadata(generation) if generation.explains else b""

"""Stand-ins for everything behind the edge and for its caller, and makers of the messages they exchange.

Owns fakes of the ports in services/edge_proxy/ports.py. Each records what it was asked and does what it was told;
`journal` tells in which order things happened across all of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from switchyard.analytics.v1 import analytics_pb2
from switchyard.common.v1.price_pb2 import PriceSnapshot
from switchyard.common.v1.usage_pb2 import TokenUsage
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded
from switchyard.keys.v1 import keys_pb2
from switchyard.ledger.v1 import ledger_pb2
from switchyard.provider.v1.provider_pb2 import Chunks, End, GenerateRequest, GenerateResponse, Result
from switchyard.routing.v1 import routing_pb2

from libs.clock import ManualClock
from libs.errors import AppError, Kind
from libs.metrics import Metrics
from libs.tokens import TokenCounter
from services.edge_proxy.core.chat_request import parse_chat_request
from services.edge_proxy.generation import CallerFacts, Generation
from services.edge_proxy.handlers import Generations
from services.edge_proxy.main import Leftovers
from services.edge_proxy.ports import ClientGoneError

MODEL = "acme/model-one"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def until(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Returns once the condition holds; fails the test when it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition never came true"
        await asyncio.sleep(0.001)


def account_key(**changes: Any) -> keys_pb2.Key:
    values = {
        "hash": "a" * 64,
        "account_id": "acct_1",
        "workspace_id": "ws_1",
        "label": "sk-sy-v1-abc...xyz",
        **changes,
    }
    return keys_pb2.Key(**values)


def chat_body(**changes: Any) -> bytes:
    """A small chat request; None leaves a field out."""
    values = {"model": MODEL, "messages": [{"role": "user", "content": "Hello there!"}], **changes}
    return orjson.dumps({name: value for name, value in values.items() if value is not None})


def planned(provider: str = "alpha", *, price: PriceSnapshot | None = None, **changes: Any) -> routing_pb2.Attempt:
    """One planned attempt: 1 USD per million prompt tokens, 2 USD per million completion tokens."""
    values: dict[str, Any] = {
        "endpoint_id": f"{provider}/{MODEL}",
        "provider_slug": provider,
        "provider_name": provider.title(),
        "provider_model_id": f"{provider}-model",
        "model": MODEL,
        "price": price or PriceSnapshot(prompt=1_000_000_000, completion=2_000_000_000, version="v1"),
        "context_length": 8192,
        "max_completion_tokens": 4096,
        "limits": routing_pb2.TimeLimits(connect_ms=1000, first_event_ms=2000, idle_ms=3000, total_ms=4000),
    }
    return routing_pb2.Attempt(**{**values, **changes})


def candidates_of(attempts: Sequence[routing_pb2.Attempt]) -> list[routing_pb2.Candidate]:
    return [
        routing_pb2.Candidate(
            endpoint_id=one.endpoint_id,
            provider_slug=one.provider_slug,
            provider_name=one.provider_name,
            model=one.model,
            tag=one.provider_slug,
            rank=rank,
            reason="price",
            price=one.price,
        )
        for rank, one in enumerate(attempts, 1)
    ]


def chunk_event(text: str, **delta: Any) -> bytes:
    """One finished event with one delta, as the adapter sends it."""
    chunk = {
        "id": "gen-x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "provider": "Alpha",
        "choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}],
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def chunks(*texts: str) -> GenerateResponse:
    return GenerateResponse(chunks=Chunks(sse=b"".join(chunk_event(text) for text in texts)))


def result(text: str = "Hi, how can I help?") -> GenerateResponse:
    reply = {
        "id": "gen-x",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "provider": "Alpha",
        "system_fingerprint": None,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    }
    return GenerateResponse(result=Result(json=orjson.dumps(reply)))


def end(prompt: int | None = 10, completion: int = 5, *, finish_reason: str = "stop", **parts: Any) -> GenerateResponse:
    """The last message of an attempt; without usage when `prompt` is None."""
    usage = None if prompt is None else TokenUsage(prompt_tokens=prompt, completion_tokens=completion, **parts)
    return GenerateResponse(
        end=End(
            usage=usage,
            finish_reason=finish_reason,
            native_finish_reason=finish_reason,
            upstream_id="up-1",
            first_event_ms=7,
            total_ms=9,
            upstream_status=200,
            has_content=True,
        )
    )


def provider_failure(
    error_class: str = "upstream", status: int = 500, *, retry_after_s: float | None = None, **metadata: str
) -> AppError:
    """A failed attempt as the adapter tells it."""
    kind = {429: Kind.RATE_LIMITED, 400: Kind.INVALID, 413: Kind.TOO_LARGE}.get(status, Kind.UPSTREAM)
    facts = {"class": error_class, "status": str(status) if status else "", **metadata}
    return AppError(kind, "PROVIDER_FAILED", "the provider failed", facts, retry_after_s)


class Gate:
    """Holds whoever comes by until it is opened; tells whether somebody came."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self.reached = False

    def open(self) -> None:
        self._opened.set()

    async def passed(self) -> None:
        self.reached = True
        await self._opened.wait()


Step = GenerateResponse | BaseException | Gate


class FakeCall:
    """One attempt under way; plays its steps."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        self.cancelled = False
        self.ended = False

    def __aiter__(self) -> AsyncIterator[GenerateResponse]:
        return self._play()

    def cancel(self) -> None:
        self.cancelled = True

    async def _play(self) -> AsyncIterator[GenerateResponse]:
        for step in self._steps:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, Gate):
                await step.passed()
            else:
                yield step
        self.ended = True


@dataclass
class FakeAdapter:
    """Plays one script per attempt, in order."""

    scripts: list[tuple[Step, ...]] = field(default_factory=list)
    requests: list[GenerateRequest] = field(default_factory=list)
    calls: list[FakeCall] = field(default_factory=list)
    timeouts_s: list[float] = field(default_factory=list)

    def will(self, *steps: Step) -> None:
        self.scripts.append(steps)

    def generate(self, request: GenerateRequest, timeout_s: float) -> FakeCall:
        self.requests.append(request)
        self.timeouts_s.append(timeout_s)
        call = FakeCall(self.scripts.pop(0) if self.scripts else (AssertionError("no attempt was expected"),))
        self.calls.append(call)
        return call


@dataclass
class FakeRouter:
    attempts: list[routing_pb2.Attempt] = field(default_factory=lambda: [planned()])
    failure: AppError | None = None
    dropped: list[routing_pb2.Candidate] = field(default_factory=list)
    models: bytes = orjson.dumps({"data": [{"id": MODEL, "created": 5, "name": "One"}], "total_count": 1})
    etag: str = '"v1"'
    requests: list[routing_pb2.PlanRequest] = field(default_factory=list)
    lists: list[routing_pb2.ListModelsRequest] = field(default_factory=list)

    async def plan(self, request: routing_pb2.PlanRequest) -> routing_pb2.PlanResponse:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        plan = routing_pb2.PlanResponse(attempts=self.attempts, strategy="direct")
        if request.explain:
            plan.explanation.candidates.extend([*candidates_of(self.attempts), *self.dropped])
        return plan

    async def explain(self, request: routing_pb2.PlanRequest) -> routing_pb2.ExplainResponse:
        asked = routing_pb2.PlanRequest()
        asked.CopyFrom(request)
        asked.explain = True
        try:
            return routing_pb2.ExplainResponse(plan=await self.plan(asked))
        except AppError as error:
            problem = routing_pb2.PlanProblem(
                http_status=error.http_status, reason=error.reason, message=error.message, metadata=error.metadata
            )
            empty = routing_pb2.PlanResponse(explanation=routing_pb2.Explanation(candidates=self.dropped))
            return routing_pb2.ExplainResponse(plan=empty, problem=problem)

    async def list_models(self, request: routing_pb2.ListModelsRequest) -> routing_pb2.ListModelsResponse:
        self.lists.append(request)
        if self.failure is not None:
            raise self.failure
        if request.if_none_match == self.etag:
            return routing_pb2.ListModelsResponse(etag=self.etag, not_modified=True)
        return routing_pb2.ListModelsResponse(json=self.models, etag=self.etag)

    async def count_models(self, wanted: routing_pb2.ModelFilter) -> int:
        return 7 if list(wanted.output_modalities) == ["embeddings"] else 42

    async def model(self, model: str) -> bytes:
        for one in orjson.loads(self.models)["data"]:
            if one["id"] == model:
                return orjson.dumps(one)
        raise AppError(Kind.MISSING, "MODEL_UNKNOWN", f"Model {model} was not found")

    async def zdr_endpoints(self) -> bytes:
        return orjson.dumps({"data": [{"tag": "alpha"}]})

    async def providers(self) -> bytes:
        return orjson.dumps({"data": [{"slug": "alpha"}]})

    async def model_endpoints(self, model: str) -> bytes:
        if model != MODEL:
            raise AppError(Kind.MISSING, "MODEL_UNKNOWN", f"Model {model} was not found")
        return orjson.dumps({"data": {"id": model, "endpoints": []}})


@dataclass
class FakeLedger:
    """Grants everything, or `granted` tokens; `held` is what nobody gave back or settled."""

    journal: list[str]
    granted: int | None = None
    failure: AppError | None = None
    gate: Gate | None = None
    wishes: list[ledger_pb2.HoldRequest] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    voided: list[str] = field(default_factory=list)
    credit: ledger_pb2.GetCreditsResponse = field(default_factory=ledger_pb2.GetCreditsResponse)
    spend: ledger_pb2.GetKeySpendResponse = field(default_factory=ledger_pb2.GetKeySpendResponse)

    async def hold(self, request: ledger_pb2.HoldRequest) -> ledger_pb2.HoldResponse:
        self.wishes.append(request)
        if self.gate is not None:
            self.held.add(request.generation_id)
            await self.gate.passed()
        if self.failure is not None:
            raise self.failure
        self.held.add(request.generation_id)
        return ledger_pb2.HoldResponse(tokens=request.tokens if self.granted is None else self.granted)

    async def void(self, generation_id: str) -> None:
        self.journal.append("void")
        self.voided.append(generation_id)
        self.held.discard(generation_id)

    async def renew_lease(self, owner: str) -> float:
        return 60.0

    async def credits(self, account_id: str) -> ledger_pb2.GetCreditsResponse:
        return self.credit

    async def key_spend(self, key_hash: str) -> ledger_pb2.GetKeySpendResponse:
        return self.spend


@dataclass
class FakeUsageLog:
    """Remembers events; a settled one frees its hold, as the ledger's consumer would."""

    journal: list[str]
    ledger: FakeLedger
    failure: BaseException | None = None
    gate: Gate | None = None
    events: list[UsageRecorded] = field(default_factory=list)
    traceparents: list[str] = field(default_factory=list)

    async def append(self, event: UsageRecorded, traceparent: str) -> None:
        event.SerializeToString()
        if self.gate is not None:
            await self.gate.passed()
        if self.failure is not None:
            raise self.failure
        self.journal.append("durable")
        self.events.append(event)
        self.traceparents.append(traceparent)
        self.ledger.held.discard(event.generation_id)


@dataclass
class FakeKeys:
    """Knows keys by hash; `failure` is raised instead when set."""

    known: dict[str, keys_pb2.Key] = field(default_factory=dict)
    failure: BaseException | None = None
    gate: Gate | None = None
    asked: list[str] = field(default_factory=list)

    async def authenticate(self, key_hash: str) -> keys_pb2.Key:
        self.asked.append(key_hash)
        if self.gate is not None:
            await self.gate.passed()
        if self.failure is not None:
            raise self.failure
        if key_hash not in self.known:
            raise AppError(Kind.UNAUTHENTICATED, "KEY_UNKNOWN", "Invalid API key")
        return self.known[key_hash]


@dataclass
class FakeAnalytics:
    records: dict[tuple[str, str], UsageRecorded] = field(default_factory=dict)

    async def generation(self, account_id: str, generation_id: str) -> analytics_pb2.GetGenerationResponse:
        record = self.records.get((account_id, generation_id))
        if record is None:
            raise AppError(Kind.MISSING, "GENERATION_UNKNOWN", f"Generation {generation_id} was not found")
        return analytics_pb2.GetGenerationResponse(record=record)


@dataclass
class FakeSink:
    """The caller's end of a stream; leaves at the write number `leaves_at` (from 0)."""

    journal: list[str]
    leaves_at: int | None = None
    written: list[bytes] = field(default_factory=list)

    async def write(self, events: bytes) -> None:
        await asyncio.sleep(0)
        if self.leaves_at is not None and len(self.written) >= self.leaves_at:
            raise ClientGoneError
        self.journal.append("done" if b"[DONE]" in events else "write")
        self.written.append(events)

    @property
    def text(self) -> bytes:
        return b"".join(self.written)

    @property
    def chunks(self) -> list[Any]:
        lines = self.text.split(b"\n\n")
        return [orjson.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


class Edge:
    """`Generations` with fakes behind it.

    Everything it did for one request after the caller was gone is finished by `settled()`.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self.journal: list[str] = []
        self.counter = counter
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.router = FakeRouter()
        self.ledger = FakeLedger(self.journal)
        self.adapter = FakeAdapter()
        self.usage_log = FakeUsageLog(self.journal, self.ledger)
        self.keys = FakeKeys()
        self.analytics = FakeAnalytics()
        self.leftovers = Leftovers()
        self.sink = FakeSink(self.journal)
        self.generations = Generations(
            router=self.router,
            ledger=self.ledger,
            adapter=self.adapter,
            usage_log=self.usage_log,
            counter=counter,
            clock=self.clock,
            metrics=self.metrics,
            owner="edge_1",
            spawn=self.leftovers.spawn,
        )

    def new(self, key: keys_pb2.Key | None = None, **body: Any) -> Generation:
        request = parse_chat_request(chat_body(**body), self.counter)
        return self.generations.new(key or account_key(), request, CallerFacts(traceparent=TRACEPARENT))

    async def admitted(self, **body: Any) -> Generation:
        generation = self.new(**body)
        await self.generations.admit(generation)
        return generation

    async def complete(self, **body: Any) -> Any:
        return orjson.loads(await self.generations.complete(await self.admitted(**body)))

    async def stream(self, **body: Any) -> list[Any]:
        await self.generations.stream(await self.admitted(stream=True, **body), self.sink)
        return self.sink.chunks

    async def settled(self) -> None:
        """Waits for whatever outlives the requests."""
        async with asyncio.timeout(5):
            await self.leftovers.finish()

    async def only_record(self) -> UsageRecorded:
        await self.settled()
        assert len(self.usage_log.events) == 1
        return self.usage_log.events[0]

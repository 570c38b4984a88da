"""The gRPC door: health, errors as plain gRPC shows them, spans."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import aio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind
from switchyard.ledger.v1.ledger_pb2 import HoldRequest
from switchyard.ledger.v1.ledger_pb2_grpc import LedgerServiceStub

from libs.errors import AppError
from libs.rpc.in_process import InProcessChannel
from libs.rpc.methods import MethodTable
from libs.rpc.session_channel import SessionChannel
from libs.traceparent import format_traceparent, parse_traceparent
from tests.unit.rpc.fakes import PAYMENT, Fakes
from tests.unit.rpc.test_every_channel import generate, hold

_SERVING = b"\x08\x01"
_NOT_SERVING = b"\x08\x02"
_UNKNOWN = b"\x08\x03"


def _asked(name: str) -> bytes:
    return b"\x0a" + bytes([len(name)]) + name.encode()


async def test_health_follows_what_the_service_says(fakes: Fakes) -> None:
    server = fakes.server()
    async with aio.insecure_channel(f"127.0.0.1:{await server.start()}") as channel:
        check: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert await check(b"") == _NOT_SERVING
        server.set_serving(True)
        assert await check(b"") == _SERVING
        assert await check(_asked("switchyard.ledger.v1.LedgerService")) == _SERVING
        with pytest.raises(aio.AioRpcError) as caught:
            await check(_asked("nobody"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    await server.stop(0)


async def test_health_watcher_sees_the_server_going_down_before_its_calls_end(fakes: Fakes) -> None:
    server = fakes.server()
    port = await server.start()
    server.set_serving(True)
    calls = SessionChannel([f"127.0.0.1:{port}"], peer="fakes")
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel, calls:
        watch: aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/grpc.health.v1.Health/Watch")
        states = aiter(watch(b""))
        assert await anext(states) == _SERVING
        assert await anext(aiter(watch(_asked("nobody")))) == _UNKNOWN
        running = asyncio.create_task(hold(calls, "block", tokens=2))
        await fakes.noticed.wait("hold begun")
        stopping = asyncio.create_task(server.stop(30))
        assert await anext(states) == _NOT_SERVING
        assert not running.done()
        fakes.ledger.release.set()
        assert await running == 2
        async with asyncio.timeout(5):
            await stopping


async def test_port_that_is_taken_is_an_error(port: int, fakes: Fakes) -> None:
    with pytest.raises(RuntimeError):
        await fakes.server(port).start()


async def test_error_over_plain_grpc_has_the_standard_details(port: int) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await LedgerServiceStub(channel).Hold(HoldRequest(owner="typed"))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == PAYMENT.message
    details = caught.value.trailing_metadata()["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    info = ErrorInfo()
    assert Status.FromString(details).details[0].Unpack(info)
    assert (info.reason, info.metadata["affordable_tokens"]) == ("INSUFFICIENT_CREDITS", "12")


async def test_method_that_is_served_twice_is_refused() -> None:
    fakes = Fakes()
    with pytest.raises(ValueError, match="served already"):
        fakes.table.add_registered_method_handlers(
            "switchyard.ledger.v1.LedgerService",
            {"Hold": grpc.unary_unary_rpc_method_handler(fakes.ledger.Hold, lambda data: data, lambda reply: reply)},
        )


async def test_method_that_streams_requests_is_refused() -> None:
    handlers: dict[str, Any] = {"Open": grpc.stream_stream_rpc_method_handler(lambda _, __: None)}
    with pytest.raises(ValueError, match="streams requests"):
        MethodTable().add_registered_method_handlers("x.Y", handlers)


class Spans:
    """A tracer whose finished spans can be looked at."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("tests")

    def finished(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.kind is kind]


async def test_session_calls_make_one_client_and_one_server_span_of_one_trace() -> None:
    spans = Spans()
    fakes = Fakes(tracer=spans.tracer)
    server = fakes.server()
    target = f"127.0.0.1:{await server.start()}"
    async with SessionChannel([target], peer="fakes", tracer=spans.tracer) as channel:
        with spans.tracer.start_as_current_span("request") as request:
            await hold(channel)
            _ = [reply async for reply in generate(channel, chunks=3)]
            with pytest.raises(AppError):
                await hold(channel, "typed")
        trace_id = request.get_span_context().trace_id
    await server.stop(0)
    clients, servers = spans.finished(SpanKind.CLIENT), spans.finished(SpanKind.SERVER)
    assert [span.name.rpartition("/")[2] for span in clients] == ["Hold", "Generate", "Hold"]
    assert [_parent(span) for span in servers] == [_id(span) for span in clients]
    assert [span.status.is_ok for span in servers] == [True, True, False]
    assert servers[2].status.description == "INSUFFICIENT_CREDITS"
    assert set(fakes.ledger.trace_ids + fakes.adapter.trace_ids) == {trace_id}


async def test_in_process_calls_make_one_span_that_never_leaks_to_the_caller() -> None:
    spans = Spans()
    fakes = Fakes(tracer=spans.tracer)
    channel = InProcessChannel(fakes.table)
    await hold(channel)
    async for _ in generate(channel, chunks=2):
        await hold(channel)
    served = spans.finished(SpanKind.SERVER)
    assert [span.name.rpartition("/")[2] for span in served] == ["Hold", "Hold", "Hold", "Generate"]
    # No call stands inside another, because the caller is outside every span.
    assert [span.parent for span in served] == [None] * 4
    assert fakes.adapter.trace_ids == [_context(served[3]).trace_id] * 2


def _context(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def _id(span: ReadableSpan) -> int:
    return _context(span).span_id


def _parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_traceparent_of_a_context_names_the_context() -> None:
    text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    context = parse_traceparent(text)
    assert context is not None
    assert format_traceparent(context) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    ],
)
def test_malformed_traceparent_is_no_context(text: str) -> None:
    assert parse_traceparent(text) is None

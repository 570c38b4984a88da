"""The life of a process: background work that ends stops it, and everything stops in order."""

import asyncio
import logging
import os
import signal
from typing import Any

import aiohttp
import grpc
import pytest
from switchyard.routing.v1.routing_pb2 import ListModelsRequest, ListModelsResponse
from switchyard.routing.v1.routing_pb2_grpc import (
    RouterServiceServicer,
    RouterServiceStub,
    add_RouterServiceServicer_to_server,
)

from libs.lifecycle import (
    Background,
    BackgroundFailedError,
    Service,
    run_service,
    running,
    stop_requested,
    wait_for_end,
)
from libs.metrics import Metrics
from libs.settings import ServingSettings


class Models(RouterServiceServicer):
    """Answers at once."""

    async def ListModels(self, request: Any, context: Any) -> ListModelsResponse:  # noqa: N802 (name of the proto)
        return ListModelsResponse(etag="here")


async def for_ever() -> None:
    await asyncio.Event().wait()


async def ends() -> None:
    await asyncio.sleep(0)


async def fails() -> None:
    raise ValueError("no such table")


class Running:
    """`run_service` under way, with the ports it said."""

    def __init__(self, service: Service, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "libs.lifecycle")
        self._caplog = caplog
        self.stop = asyncio.Event()
        serving = ServingSettings(drain_s=1.0)
        self.task = asyncio.ensure_future(run_service(service, serving, metrics=Metrics(), tracer=None, stop=self.stop))

    async def started(self) -> tuple[int | None, int]:
        async with asyncio.timeout(10):
            while not (records := [r for r in self._caplog.records if r.message == "started"]):
                assert not self.task.done(), self.task
                await asyncio.sleep(0.005)
        data = vars(records[-1])["data"]
        return data["rpc_port"], data["ops_port"]


def service(background: dict[str, Background] | None = None, **changes: Any) -> Service:
    models = Models()  # type: ignore[abstract]  # the rest is never called

    def add(table: Any) -> None:
        add_RouterServiceServicer_to_server(models, table)

    return Service("example", **{"add_servicers": add, "background": background or {}, **changes})


@pytest.mark.parametrize(("work", "said"), [(ends, "worker ended"), (fails, "worker: ValueError")])
async def test_background_work_that_ends_ends_the_process(
    work: Background, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    process = Running(service({"worker": work, "other": for_ever}), caplog)
    with pytest.raises(BackgroundFailedError, match=said):
        await asyncio.wait_for(process.task, 10)


async def test_failure_of_background_work_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with running({"worker": fails}) as failed:
        with pytest.raises(BackgroundFailedError):
            await wait_for_end(asyncio.Event(), failed)
    record = next(r for r in caplog.records if r.message == "background task failed")
    assert vars(record)["data"] == {"task": "worker"}
    assert record.exc_info


async def test_process_answers_until_told_to_stop_and_then_ends(caplog: pytest.LogCaptureFixture) -> None:
    process = Running(service({"worker": for_ever}), caplog)
    rpc_port, ops_port = await process.started()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{rpc_port}") as channel:
        assert (await RouterServiceStub(channel).ListModels(ListModelsRequest(), timeout=5)).etag == "here"
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{ops_port}/readyz") as reply:
        assert reply.status == 200
    process.stop.set()
    await asyncio.wait_for(process.task, 10)
    with pytest.raises(OSError):  # noqa: PT011 (refused or reset, as the system likes)
        await asyncio.open_connection("127.0.0.1", ops_port)


async def test_service_without_servicers_has_no_rpc_port(caplog: pytest.LogCaptureFixture) -> None:
    process = Running(service(add_servicers=None), caplog)
    assert (await process.started())[0] is None
    process.stop.set()
    await asyncio.wait_for(process.task, 10)


async def test_stopping_says_not_ready_then_ends_consumers_then_the_rpc_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []
    ports: list[int] = []

    async def consumer() -> None:
        try:
            await for_ever()
        finally:
            rpc_port, ops_port = ports
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{ops_port}/readyz") as reply:
                seen.append(f"ready {reply.status} {(await reply.json()).get('for')}")
            async with grpc.aio.insecure_channel(f"127.0.0.1:{rpc_port}") as channel:
                check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
                seen.append("health serving" if await check(b"") == b"\x08\x01" else "health not serving")
                seen.append((await RouterServiceStub(channel).ListModels(ListModelsRequest(), timeout=5)).etag)

    process = Running(service({"consumer": consumer}), caplog)
    rpc_port, ops_port = await process.started()
    assert rpc_port is not None
    ports.extend((rpc_port, ops_port))
    process.stop.set()
    await asyncio.wait_for(process.task, 10)
    assert seen == ["ready 503 shutdown", "health not serving", "here"]


async def test_readiness_is_the_services_own(caplog: pytest.LogCaptureFixture) -> None:
    async def waiting() -> str | None:
        return "postgres"

    process = Running(service(check=waiting), caplog)
    _, ops_port = await process.started()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{ops_port}/readyz") as reply:
        assert (reply.status, (await reply.json())["for"]) == (503, "postgres")
    process.stop.set()
    await asyncio.wait_for(process.task, 10)


async def test_port_that_is_taken_ends_the_process_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    first = Running(service(), caplog)
    rpc_port, _ = await first.started()
    serving = ServingSettings(rpc_address=f"127.0.0.1:{rpc_port}")
    with pytest.raises((RuntimeError, OSError)):
        await run_service(service(), serving, metrics=Metrics(), tracer=None, stop=asyncio.Event())
    first.stop.set()
    await asyncio.wait_for(first.task, 10)


async def test_work_in_hand_is_finished_before_the_block_is_left() -> None:
    finished: list[str] = []

    async def consumer() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0.02)
            finished.append("batch")

    async with running({"consumer": consumer, "other": for_ever}):
        await asyncio.sleep(0)
    assert finished == ["batch"]


async def test_work_that_fails_on_its_way_out_does_not_hide_the_end() -> None:
    async def consumer() -> None:
        try:
            await for_ever()
        finally:
            raise ValueError("while stopping")

    async with running({"consumer": consumer}):
        await asyncio.sleep(0)


async def test_block_that_fails_still_ends_the_background_work() -> None:
    ended: list[bool] = []

    async def consumer() -> None:
        try:
            await for_ever()
        finally:
            ended.append(True)

    async def block() -> None:
        async with running({"consumer": consumer}):
            await asyncio.sleep(0)
            raise RuntimeError("in the block")

    with pytest.raises(RuntimeError, match="in the block"):
        await block()
    assert ended == [True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_request_a_stop(number: signal.Signals) -> None:
    loop = asyncio.get_running_loop()
    stop = stop_requested()
    try:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
    finally:
        for known in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(known)

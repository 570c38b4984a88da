"""Channels of every kind to the same fake servicers."""

from collections.abc import AsyncIterator

import pytest
from grpc import aio

from libs.rpc.in_process import InProcessChannel
from libs.rpc.plain_channel import PlainChannel
from libs.rpc.session_channel import SessionChannel
from tests.unit.rpc.fakes import Fakes


@pytest.fixture
async def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
async def port(fakes: Fakes) -> AsyncIterator[int]:
    server = fakes.server()
    yield await server.start()
    await server.stop(0)


@pytest.fixture
async def session_channel(port: int) -> AsyncIterator[SessionChannel]:
    channel = SessionChannel([f"127.0.0.1:{port}"], peer="fakes")
    yield channel
    await channel.close()


@pytest.fixture(params=["in process", "session", "plain"])
async def channel(request: pytest.FixtureRequest, fakes: Fakes) -> AsyncIterator[aio.Channel]:
    if request.param == "in process":
        yield InProcessChannel(fakes.table)
        return
    server = fakes.server()
    target = f"127.0.0.1:{await server.start()}"
    kind: aio.Channel = (
        SessionChannel([target], peer="fakes") if request.param == "session" else PlainChannel(target, peer="fakes")
    )
    yield kind
    await kind.close()
    await server.stop(0)

"""One token for all who wait, as long as it holds; no Google is asked here."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from services.provider_adapter.credentials.google import GoogleAuthorizer, google_authorizer
from services.provider_adapter.credentials.tokens import Token
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError

BROKEN = ProviderFailedError(Failure(FailureClass.UPSTREAM))


class Server:
    """Gives tokens that last an hour, numbered; waits while it is shut, fails while it is broken."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.asked = 0
        self.open = threading.Event()
        self.open.set()
        self.broken = False

    def ask(self) -> Token:
        self.asked += 1
        number = self.asked
        assert self.open.wait(10)
        if self.broken:
            raise BROKEN
        return Token(f"t{number}", self.now_s + 3600)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def authorizer(server: Server) -> GoogleAuthorizer:
    return GoogleAuthorizer(server.ask, lambda: server.now_s)


async def token(authorizer: GoogleAuthorizer) -> str:
    return (await authorizer.headers("POST", "https://x.test", b""))["Authorization"].removeprefix("Bearer ")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 (a thread tells nobody)
            await asyncio.sleep(0.001)


async def _asked(server: Server, times: int) -> bool:
    return server.asked == times


async def test_all_who_wait_get_the_same_token(server: Server, authorizer: GoogleAuthorizer) -> None:
    tokens = await asyncio.gather(*(token(authorizer) for _ in range(20)))

    assert tokens == ["t1"] * 20
    assert server.asked == 1


async def test_the_first_to_ask_may_leave(server: Server, authorizer: GoogleAuthorizer) -> None:
    server.open.clear()
    first = asyncio.create_task(token(authorizer))
    second = asyncio.create_task(token(authorizer))
    await until(partial(_asked, server, 1))
    first.cancel()
    server.open.set()

    assert await second == "t1"
    assert server.asked == 1


async def test_a_token_is_renewed_while_it_still_holds(server: Server, authorizer: GoogleAuthorizer) -> None:
    await token(authorizer)
    server.now_s += 3600 - 301
    assert await token(authorizer) == "t1"
    assert server.asked == 1
    server.now_s += 2
    server.open.clear()
    assert await token(authorizer) == "t1"
    server.open.set()

    async def is_new() -> bool:
        return await token(authorizer) == "t2"

    await until(is_new)
    assert server.asked == 2


async def test_an_old_token_is_used_while_no_new_one_can_be_had(server: Server, authorizer: GoogleAuthorizer) -> None:
    await token(authorizer)
    server.broken = True
    server.now_s += 3600 - 200
    assert await token(authorizer) == "t1"
    server.now_s += 171
    with pytest.raises(ProviderFailedError):
        await token(authorizer)


async def test_after_a_failure_the_server_is_left_alone_for_a_moment(
    server: Server, authorizer: GoogleAuthorizer
) -> None:
    server.broken = True
    for _ in range(5):
        with pytest.raises(ProviderFailedError):
            await token(authorizer)
    assert server.asked == 1
    server.broken = False
    server.now_s += 3
    assert await token(authorizer) == "t2"


def test_only_a_key_in_json_has_to_be_exchanged() -> None:
    assert google_authorizer("AIzaKey", "https://x.test") is None
    assert google_authorizer("ya29.token", "https://x.test") is None
    assert google_authorizer("{}", "https://x.test") is not None

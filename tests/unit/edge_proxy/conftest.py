from collections.abc import AsyncIterator

import pytest

from libs.tokens import TokenCounter
from tests.testkit.edge_http import HttpDoor, open_door
from tests.testkit.edge_proxy import Edge


@pytest.fixture(scope="session")
def counter() -> TokenCounter:
    return TokenCounter()


@pytest.fixture
def edge(counter: TokenCounter) -> Edge:
    return Edge(counter)


@pytest.fixture
async def door(counter: TokenCounter) -> AsyncIterator[HttpDoor]:
    async with open_door(counter) as opened:
        yield opened

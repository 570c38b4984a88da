import pytest

from libs.tokens import TokenCounter
from tests.testkit.edge_proxy import Edge


@pytest.fixture(scope="session")
def counter() -> TokenCounter:
    return TokenCounter()


@pytest.fixture
def edge(counter: TokenCounter) -> Edge:
    return Edge(counter)

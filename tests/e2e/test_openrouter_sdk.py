"""OpenRouter's own SDK parses every reply strictly: chat, models, key, credits, generation."""

from collections.abc import Iterator
from typing import Any

import pytest
from openrouter import OpenRouter
from openrouter.utils import BackoffStrategy, RetryConfig

from tests.testkit.api import MODEL, Api, eventually
from tests.testkit.shapes import Shape

HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
NO_RETRIES = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), False)


def sdk(shape: Shape, key: str) -> OpenRouter:
    return OpenRouter(api_key=key, server_url=shape.api_base, retry_config=NO_RETRIES)


@pytest.fixture
def client(shape: Shape) -> Iterator[OpenRouter]:
    with sdk(shape, shape.api_key) as client:
        yield client


def test_chat_is_parsed(client: OpenRouter) -> None:
    reply = client.chat.send(model=MODEL, messages=HELLO)
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.cost


def test_stream_is_parsed(client: OpenRouter) -> None:
    stream: Any = client.chat.send(model=MODEL, messages=HELLO, stream=True)
    with stream:
        chunks = list(stream)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert chunks[-1].usage is not None


def test_models_and_endpoints_are_parsed(client: OpenRouter) -> None:
    models = client.models.list()
    assert models is not None
    assert MODEL in [model.id for model in models.result.data if model.id == MODEL]
    author, slug = MODEL.split("/")
    endpoints = client.endpoints.list(author=author, slug=slug)
    assert len(endpoints.data.endpoints) >= 3


# The SDK warns of its own deprecated but required field when it parses one.
@pytest.mark.filterwarnings("ignore:.*DEPRECATED.*:DeprecationWarning")
def test_the_key_is_parsed(client: OpenRouter) -> None:
    key = client.api_keys.get_current_key_metadata()
    assert not key.data.is_management_key
    assert key.data.usage >= 0


def test_credits_are_parsed(shape: Shape) -> None:
    with sdk(shape, shape.management_key) as client:
        answer = client.credits.get_credits()
    assert answer.data.total_credits == 100
    assert answer.data.total_usage >= 0


async def test_a_generation_is_parsed(shape: Shape, client: OpenRouter) -> None:
    reply = client.chat.send(model=MODEL, messages=HELLO)

    assert reply.usage is not None

    async def recorded() -> bool:
        async with Api(shape.api_base, shape.api_key) as api:
            return await api.record(reply.id) is not None

    await eventually(recorded)
    record = client.generations.get_generation(id=reply.id)
    assert record.data.id == reply.id
    assert record.data.model == MODEL
    assert record.data.total_cost == reply.usage.cost

"""OpenRouter's own SDK parses every reply strictly: chat, models, key, credits, generation."""

from collections.abc import Iterator
from typing import Any

import pytest
from openrouter import OpenRouter
from openrouter.errors import OpenRouterError
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


def test_the_whole_catalogue_is_parsed_page_by_page(client: OpenRouter) -> None:
    found: list[str] = []
    while True:
        page = client.models.list(offset=len(found), limit=300, output_modalities="all")
        assert page is not None
        found += [model.id for model in page.result.data]
        if page.result.links.next is None:
            break
    assert len(found) == len(set(found)) == page.result.total_count >= 816
    assert client.models.count(output_modalities="all").data.count == len(found)
    assert client.models.count().data.count < len(found)


def test_filters_of_the_list_are_obeyed(client: OpenRouter) -> None:
    page = client.models.list(q="claude sonnet", supported_parameters="tools", min_price=1, sort="newest")
    assert page is not None
    ids = [model.id for model in page.result.data]
    assert ids
    assert all("claude" in one and "sonnet" in one for one in ids)


def test_every_other_read_of_the_catalogue_is_parsed(shape: Shape, client: OpenRouter) -> None:
    model = client.models.get(author="anthropic", slug="claude-sonnet-4.5")
    assert model.data.id == "anthropic/claude-sonnet-4.5"
    assert len(client.providers.list().data) > 100
    assert client.endpoints.list_zdr_endpoints().data
    embeddings = client.embeddings.list_models()
    assert embeddings is not None
    assert len(embeddings.result.data) > 50
    user = client.models.list_for_user(security={"bearer": shape.api_key})
    assert user is not None
    assert len(user.result.data) == 500


def test_a_model_that_does_not_chat_is_refused_as_such(client: OpenRouter) -> None:
    with pytest.raises(OpenRouterError) as caught:
        client.chat.send(model="openai/text-embedding-3-small", messages=HELLO)
    assert caught.value.status_code == 400
    assert "does not do chat" in str(caught.value.body)


def test_latest_of_a_family_answers_under_its_own_name(client: OpenRouter) -> None:
    reply = client.chat.send(model="~anthropic/claude-sonnet-latest", messages=HELLO)
    assert reply.model.startswith("anthropic/claude-sonnet-")


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

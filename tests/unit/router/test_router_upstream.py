"""An operator's own upstream comes, changes, and goes away."""

import asyncio
from collections.abc import Sequence

from libs.clock import ManualClock
from libs.errors import AppError, Kind, unavailable
from libs.retry import Backoff
from services.router.core.health import Health
from services.router.core.offer import UpstreamTerms
from services.router.handlers import RouterHandlers
from services.router.upstream import UpstreamWatcher
from tests.unit.router.making import catalogue, endpoint, model

BASE = catalogue(model([endpoint("a"), endpoint("b")]))


class FakeUpstream:
    """Answers as it is told: a list, nothing, or not at all."""

    def __init__(self, answer: Sequence[str] | None = None) -> None:
        self.answer = answer
        self.is_away = False
        self.failure: AppError | None = None
        self._asked = asyncio.Semaphore(0)

    async def asked(self, times: int) -> None:
        """Waits until it was asked so many times more."""
        async with asyncio.timeout(5):
            for _ in range(times):
                await self._asked.acquire()

    async def listed(self) -> Sequence[str] | None:
        self._asked.release()
        if self.failure is not None:
            raise self.failure
        if self.is_away:
            raise unavailable("provider_adapter")
        return self.answer


def watching(upstream: FakeUpstream) -> tuple[UpstreamWatcher, RouterHandlers]:
    handlers = RouterHandlers(Health(), ManualClock())
    watcher = UpstreamWatcher(
        upstream, handlers, BASE, UpstreamTerms(), interval_s=0.01, backoff=Backoff(first_s=0.001, cap_s=0.001)
    )
    return watcher, handlers


def offered(handlers: RouterHandlers) -> list[str]:
    return [one.id for each in handlers.on_offer.catalogue.models.values() for one in each.endpoints]


async def test_server_that_lists_models_is_offered_with_them_alone() -> None:
    watcher, handlers = watching(FakeUpstream(["mine"]))
    await watcher.refresh()
    assert offered(handlers) == ["upstream/upstream/mine"]


async def test_server_that_lists_none_stands_in_for_the_whole_catalogue() -> None:
    watcher, handlers = watching(FakeUpstream(None))
    await watcher.refresh()
    assert offered(handlers) == ["a/acme/one", "b/acme/one"]


async def test_list_that_changes_changes_the_offer() -> None:
    upstream = FakeUpstream(None)
    watcher, handlers = watching(upstream)
    await watcher.refresh()
    upstream.answer = ["one"]
    await watcher.refresh()
    upstream.answer = ["one", "two"]
    await watcher.refresh()
    assert offered(handlers) == ["upstream/upstream/one", "upstream/upstream/two"]


async def test_same_list_keeps_the_prepared_offer() -> None:
    watcher, handlers = watching(FakeUpstream(["one"]))
    await watcher.refresh()
    before = handlers.on_offer
    await watcher.refresh()
    assert handlers.on_offer is before


async def test_list_that_cannot_be_had_for_a_while_leaves_the_offer() -> None:
    upstream = FakeUpstream(["one"])
    watcher, handlers = watching(upstream)
    await watcher.refresh()
    upstream.answer = None
    await watcher.refresh()
    upstream.is_away = True
    await watcher.refresh()
    assert offered(handlers) == ["upstream/upstream/one"]


async def test_adapter_that_is_away_at_the_start_is_asked_until_it_answers_and_then_on() -> None:
    upstream = FakeUpstream(["one"])
    upstream.is_away = True
    watcher, handlers = watching(upstream)
    running = asyncio.create_task(watcher.run())
    try:
        await upstream.asked(3)
        before = handlers.is_offering
        upstream.is_away = False
        await upstream.asked(3)
        upstream.answer = ["one", "two"]
        await upstream.asked(3)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not before
    assert offered(handlers) == ["upstream/upstream/one", "upstream/upstream/two"]


async def test_upstream_that_stays_unreachable_at_the_start_stands_in_until_it_lists() -> None:
    upstream = FakeUpstream(["one"])
    upstream.failure = AppError(Kind.NO_ROUTE, "UPSTREAM_UNREACHABLE", "away")
    watcher, handlers = watching(upstream)
    await watcher.refresh()
    assert not handlers.is_offering
    for _ in range(4):
        await watcher.refresh()
    assert offered(handlers) == ["a/acme/one", "b/acme/one"]
    upstream.failure = None
    await watcher.refresh()
    assert offered(handlers) == ["upstream/upstream/one"]

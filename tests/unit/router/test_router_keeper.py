"""The catalogue follows its overlay folder and the calendar; what is wrong changes nothing."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from libs.clock import ManualClock
from services.router.check import check_catalogue
from services.router.core.catalogue import Catalogue
from services.router.core.fields import CatalogueError
from services.router.core.health import Health
from services.router.core.timeline import as_of, next_change_s
from services.router.handlers import OfferDisplay, RouterHandlers
from services.router.keeper import CatalogueKeeper, OverlayFolder
from services.router.settings import OverlaySettings
from tests.unit.router.making import catalogue, endpoint, model, price

DAY_S = 86_400
GOOD = {"changes": [{"endpoint": "a/acme/one", "disable": True}]}


def base(**facts: Any) -> Catalogue:
    return catalogue(model([endpoint("a", 100, **facts), endpoint("b", 200)]))


class Kept:
    """A keeper over a folder, and the offer that it changes."""

    def __init__(self, folder: Path, one: Catalogue, *, drops_ended: bool = False) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.handlers = RouterHandlers(Health(), self.clock)
        self.keeper = CatalogueKeeper(one, OverlayFolder(folder), self.clock, drops_ended=drops_ended, interval_s=0.005)
        self.display = OfferDisplay(self.handlers, lambda whole: whole)
        self.handlers.offer(self.keeper.load())

    def write(self, document: Any, name: str = "own.json") -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        (self.folder / name).write_text(text)

    async def look(self) -> list[str]:
        await self.keeper.look(self.display)
        return self.slugs

    @property
    def slugs(self) -> list[str]:
        return [one.provider.slug for one in self.handlers.on_offer.catalogue.models["acme/one"].endpoints]


async def test_file_that_comes_changes_and_goes_is_followed(tmp_path: Path) -> None:
    kept = Kept(tmp_path, base())
    assert kept.slugs == ["a", "b"]
    kept.write(GOOD)
    assert await kept.look() == ["b"]
    kept.write({"changes": [{"provider": "b", "disable": True}]})
    assert await kept.look() == ["a"]
    (tmp_path / "own.json").unlink()
    assert await kept.look() == ["a", "b"]


async def test_wrong_file_is_named_once_and_the_running_catalogue_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(tmp_path, base())
    kept.write(GOOD)
    await kept.look()
    shown = kept.handlers.on_offer
    kept.write({"changes": [{"endpoint": "z/acme/one", "disable": True}]}, "wrong.json")
    with caplog.at_level(logging.ERROR):
        await kept.look()
        await kept.look()
    assert kept.handlers.on_offer is shown
    assert len(caplog.records) == 1
    assert "wrong.json: changes[0].endpoint" in str(caplog.records[0].__dict__)
    kept.write("{ half a fi", "wrong.json")
    await kept.look()
    assert kept.handlers.on_offer is shown
    (tmp_path / "wrong.json").unlink()
    assert await kept.look() == ["b"]


async def test_nothing_new_makes_no_new_offer(tmp_path: Path) -> None:
    kept = Kept(tmp_path, base())
    shown = kept.handlers.on_offer
    await kept.look()
    assert kept.handlers.on_offer is shown


def test_wrong_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"changes": [{}]}')
    with pytest.raises(CatalogueError, match=r"^own.json: changes\[0\]"):
        Kept(tmp_path, base())
    with pytest.raises(CatalogueError, match="cannot be read"):
        Kept(tmp_path / "nowhere", base())


async def test_folder_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "overlays"
    folder.mkdir()
    kept = Kept(folder, base())
    kept.write(GOOD)
    await kept.look()
    (folder / "own.json").unlink()
    folder.rmdir()
    assert await kept.look() == ["b"]


async def test_requests_are_answered_while_the_catalogue_changes(tmp_path: Path) -> None:
    """Every answer comes from one whole catalogue: both models disabled, or neither."""
    one, two = base().models["acme/one"], model([endpoint("a", model="acme/two")], "acme/two")
    kept = Kept(tmp_path, catalogue(one, two))
    running = asyncio.create_task(kept.keeper.run(kept.display))
    off = {"changes": [{"model": name, "disable": True} for name in ("acme/one", "acme/two")]}
    seen = set()
    try:
        async with asyncio.timeout(10):
            for step in range(6):
                kept.write(off if step % 2 == 0 else {"deployments": {}})
                wanted = 0 if step % 2 == 0 else 2
                while True:
                    models = kept.handlers.on_offer.catalogue.models
                    offered = sum(1 for each in models.values() if each.endpoints)
                    seen.add(offered)
                    if offered == wanted:
                        break
                    await asyncio.sleep(0)
    finally:
        running.cancel()
    assert seen == {0, 2}


async def test_price_changes_on_its_day_without_a_file(tmp_path: Path) -> None:
    clock = ManualClock()
    day = clock.now_ms() // 1000 + DAY_S
    kept = Kept(tmp_path, base(price_changes=((day, price(700)),)))
    assert kept.slugs == ["a", "b"]
    kept.clock.advance(DAY_S - 1)
    assert await kept.look() == ["a", "b"]
    kept.clock.advance(2)
    assert await kept.look() == ["b", "a"]
    assert kept.handlers.on_offer.catalogue.models["acme/one"].endpoints[1].price.prompt == 700


async def test_ended_endpoint_is_dropped_where_it_would_be_called_and_not_where_the_simulator_stands_in(
    tmp_path: Path,
) -> None:
    ends = ManualClock().now_ms() // 1000 + 10
    called = Kept(tmp_path, base(retires_s=ends), drops_ended=True)
    simulated = Kept(tmp_path, base(retires_s=ends))
    for kept in (called, simulated):
        kept.clock.advance(2 * DAY_S)
    assert await called.look() == ["b"]
    assert await simulated.look() == ["a", "b"]


def test_latest_price_that_has_begun_holds() -> None:
    one = base(price_changes=((10, price(700)), (20, price(50))))
    at = [as_of(one, now_s, drops_ended=False).models["acme/one"].endpoints for now_s in (9, 10, 20)]
    assert [{each.provider.slug: each.price.prompt for each in some}["a"] for some in at] == [100, 700, 50]
    assert [next_change_s(one, now_s) for now_s in (9, 10, 20)] == [10, 20, None]
    assert as_of(one, 9, drops_ended=False) is one


def test_catalogue_check_counts_or_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = OverlaySettings(overlay_dir=tmp_path)
    assert check_catalogue(settings) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["providers"], facts["endpoints"], facts["overlays"]) == (172, 3071, [])
    (tmp_path / "own.json").write_text('{"providers": [{"slug": "groq", "name": "G"}]}')
    assert check_catalogue(settings) == 1
    assert capsys.readouterr().err.startswith("own.json: providers[0].slug: is there twice")


def test_endpoint_without_a_day_never_ends() -> None:
    one = base()
    assert next_change_s(one, 0) is None
    assert as_of(one, 2**40, drops_ended=True) is one

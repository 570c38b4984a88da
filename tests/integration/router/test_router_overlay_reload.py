"""Overlay files of a running router: what callers see changes without a request lost."""

import json
from pathlib import Path

import pytest

from libs.settings import SettingsError
from services.router.core.offer import Offer
from services.router.settings import RoutingSettings
from tests.integration.router.test_router_service import LLAMA, FakeAdapter, router


def disable(folder: Path, *slugs: str) -> None:
    """As careful operators do: a whole file, moved into place."""
    draft = folder / "draft.tmp"
    draft.write_text(json.dumps({"changes": [{"provider": slug, "disable": True} for slug in slugs]}))
    draft.rename(folder / "off.json")


async def test_disabled_provider_leaves_the_plans_and_no_request_fails(tmp_path: Path) -> None:
    settings = RoutingSettings(overlay_dir=tmp_path, overlay_interval_s=0.01)
    async with router(settings) as one:
        before = {attempt.provider_slug for attempt in await one.plan(LLAMA)}
        disable(tmp_path, "groq", "novita-ai")
        await one.planned_until(LLAMA, lambda some: not {"groq", "novita-ai"} & {each.provider_slug for each in some})
        (tmp_path / "off.json").unlink()
        await one.planned_until(LLAMA, lambda some: {attempt.provider_slug for attempt in some} == before)


async def test_offer_of_the_operators_own_server_follows_the_files_too(tmp_path: Path) -> None:
    adapter = FakeAdapter()
    adapter.model_ids = [LLAMA]
    settings = RoutingSettings(offer=Offer.UPSTREAM, overlay_dir=tmp_path, overlay_interval_s=0.01)
    async with router(settings, adapter) as one:
        await one.until_ready()
        pricing = {"prompt": "0.000000001", "completion": "0.000000001"}
        change = {"changes": [{"endpoint": f"groq/{LLAMA}", "pricing": pricing}]}
        (tmp_path / "price.json").write_text(json.dumps(change))
        await one.planned_until(LLAMA, lambda some: some[0].price.prompt == 1_000_000)


async def test_wrong_overlay_stops_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"changes": [{"provider": "nobody", "disable": true}]}')
    with pytest.raises(SettingsError, match=r"overlay: own.json: changes\[0\].provider: is not a known provider"):
        async with router(RoutingSettings(overlay_dir=tmp_path)):
            pass

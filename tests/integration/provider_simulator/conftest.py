import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.settings import load
from services.provider_simulator.main import RunningSimulator, start
from services.provider_simulator.settings import ProviderSimulatorSettings

CATALOGUE = {
    "providers": {
        "groq": {"name": "Groq", "models": {"gpt-oss-120b": "openai/gpt-oss-120b", "llama": "meta/llama"}},
        "azure": {"name": "Azure", "models": {"gpt-oss-120b": "openai/gpt-oss-120b"}},
    }
}


@pytest.fixture
def settings(tmp_path: Path) -> ProviderSimulatorSettings:
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps(CATALOGUE))
    return load(ProviderSimulatorSettings, {}).model_copy(update={"catalogue": path})


@pytest.fixture
async def simulator(settings: ProviderSimulatorSettings) -> AsyncIterator[RunningSimulator]:
    running = await start(settings)
    yield running
    await running.stop()

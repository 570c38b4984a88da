import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from tests.integration.provider_simulator.raw_http import DEADLINE_S, ask, get

ROOT = Path(__file__).parents[3]


async def _spawn(**environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.provider_simulator",
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_process_announces_its_address_serves_and_stops_when_told() -> None:
    process = await _spawn()
    assert process.stdout is not None
    try:
        async with asyncio.timeout(2 * DEADLINE_S):
            base_url = json.loads(await process.stdout.readline())["base_url"]
        assert (await ask(base_url)).status == 200
        assert (await get(base_url, "/v1/models"))["data"]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_process_with_unusable_catalogue_says_so_and_ends(tmp_path: Path) -> None:
    process = await _spawn(SWITCHYARD_PROVIDER_SIMULATOR_CATALOGUE=str(tmp_path / "none.json"))
    async with asyncio.timeout(2 * DEADLINE_S):
        _, errors = await process.communicate()

    assert process.returncode == 1
    assert "none.json" in json.loads(errors)["reason"]

from collections.abc import AsyncIterator
from importlib.resources import files

import asyncpg
import pytest

from libs.pg.migrations import migrate
from libs.pg.pool import open_pool


@pytest.fixture
async def pool(database_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(database_dsn, application_name="test") as pool:
        await migrate(pool, schema="key_management", folder=files("services.key_management") / "migrations")
        yield pool

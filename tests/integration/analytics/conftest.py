from collections.abc import AsyncIterator

import asyncpg
import pytest

from libs.pg.migrations import migrate
from libs.pg.pool import open_pool
from services.analytics.main import MIGRATIONS


@pytest.fixture
async def pool(database_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(database_dsn, application_name="test") as pool:
        await migrate(pool, schema="analytics", folder=MIGRATIONS)
        yield pool

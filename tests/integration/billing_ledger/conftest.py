"""A migrated ledger database, made once, copied for each test."""

import secrets
from collections.abc import AsyncIterator
from importlib.resources import files

import asyncpg
import pytest

from libs.pg.migrations import migrate
from libs.pg.pool import open_pool
from tests.testkit.postgres import postgres_dsn, postgres_server

__all__ = ["ledger_dsn", "ledger_pool", "postgres_dsn", "postgres_server"]

_TEMPLATE = "billing_ledger_migrated"


@pytest.fixture
async def ledger_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """A database with the ledger's empty tables."""
    name = f"ledger_{secrets.token_hex(6)}"
    administrator = await asyncpg.connect(postgres_dsn)
    try:
        if not await administrator.fetchval("SELECT true FROM pg_database WHERE datname = $1", _TEMPLATE):
            await administrator.execute(f"CREATE DATABASE {_TEMPLATE}")
            async with open_pool(_database(postgres_dsn, _TEMPLATE), application_name="test") as pool:
                await migrate(pool, schema="billing_ledger", folder=files("services.billing_ledger") / "migrations")
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
        yield _database(postgres_dsn, name)
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


@pytest.fixture
async def ledger_pool(ledger_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(ledger_dsn, application_name="test") as pool:
        yield pool


def _database(dsn: str, name: str) -> str:
    return dsn.replace("/postgres?", f"/{name}?")

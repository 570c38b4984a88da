"""Composes the audit: arguments and settings, one snapshot, the report on standard output.

Exit status: 0 the books balance, 1 they do not, 2 the audit could not run.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.pg.embedded import EmbeddedPostgres
from services.audit.core.findings import is_clean, render
from services.audit.handlers import audit
from services.audit.store import open_snapshot

EMBEDDED_FOLDER = "postgres"
"""Where below the data folder both shapes keep the embedded PostgreSQL."""


class Settings(BaseSettings):
    """The same names that start the product, so that the audit finds what it runs on."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_", frozen=True, extra="ignore", env_ignore_empty=True)

    data_dir: Path = Field(default=Path("var"), description="data folder of the product")
    postgres_dsn: SecretStr | None = Field(default=None, description="postgresql:// URL; none: the embedded server")


def main(arguments: Sequence[str] | None = None) -> int:
    settings = Settings()
    parser = argparse.ArgumentParser(prog="python -m services.audit", description="Recomputes the books; read-only.")
    parser.add_argument("--data-dir", type=Path, help="the product's data folder ($SWITCHYARD_DATA_DIR, else var)")
    parser.add_argument("--dsn", help="the product's database ($SWITCHYARD_POSTGRES_DSN, else the embedded one)")
    given = parser.parse_args(arguments)
    data_dir: Path = given.data_dir or settings.data_dir
    dsn: str | None = given.dsn
    if dsn is None and given.data_dir is None and settings.postgres_dsn is not None:
        dsn = settings.postgres_dsn.get_secret_value()
    dsn = dsn or EmbeddedPostgres(data_dir / EMBEDDED_FOLDER).dsn
    return asyncio.run(_run(dsn, data_dir if data_dir.is_dir() else None))


async def _run(dsn: str, data_dir: Path | None) -> int:
    try:
        async with open_snapshot(dsn) as snapshot:
            findings = await audit(snapshot, data_dir)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.stderr.write(f"the audit cannot run, is the product up? {type(error).__name__}: {error}\n")
        return 2
    sys.stdout.write(render(findings) + "\n")
    return 0 if is_clean(findings) else 1

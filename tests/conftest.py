"""Fixtures for every folder; each lives beside what it starts, in tests/testkit."""

from tests.testkit.postgres import database_dsn, postgres_dsn, postgres_server
from tests.testkit.shapes import distributed, shape, standalone

__all__ = ["database_dsn", "distributed", "postgres_dsn", "postgres_server", "shape", "standalone"]

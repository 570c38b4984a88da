import asyncpg
import pytest

from services.billing_ledger.store import PostgresLedgerStore
from tests.testkit.billing_ledger_conformance import LedgerStoreConformance

pytestmark = pytest.mark.postgres


class TestPostgresLedgerStore(LedgerStoreConformance):
    @pytest.fixture
    def store(self, ledger_pool: asyncpg.Pool) -> PostgresLedgerStore:
        return PostgresLedgerStore(ledger_pool)

import pytest

from tests.testkit.billing_ledger import MemoryLedgerStore
from tests.testkit.billing_ledger_conformance import LedgerStoreConformance


class TestMemoryLedgerStore(LedgerStoreConformance):
    @pytest.fixture
    def store(self) -> MemoryLedgerStore:
        return MemoryLedgerStore()

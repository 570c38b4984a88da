import pytest

from services.key_management.ports import KeyStore
from tests.testkit.key_management import MemoryKeyStore
from tests.testkit.key_store_conformance import KeyStoreConformance


class TestMemoryKeyStore(KeyStoreConformance):
    @pytest.fixture
    def store(self) -> KeyStore:
        return MemoryKeyStore()

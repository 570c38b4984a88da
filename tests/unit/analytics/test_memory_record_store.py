import pytest

from services.analytics.ports import RecordStore
from tests.testkit.analytics import MemoryRecordStore
from tests.testkit.record_store_conformance import RecordStoreConformance


class TestMemoryRecordStore(RecordStoreConformance):
    @pytest.fixture
    def store(self) -> RecordStore:
        return MemoryRecordStore()

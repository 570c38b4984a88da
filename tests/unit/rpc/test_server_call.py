"""How one call ends at the callee's end, whoever ends it."""

import asyncio
from typing import Any

from switchyard.provider.v1.provider_pb2 import GenerateRequest
from switchyard.rpc.v1.session_pb2 import Start

from libs.rpc.methods import MethodTable
from libs.rpc.outbox import Outbox
from libs.rpc.server_call import ServerCall
from tests.unit.rpc.fakes import Fakes

_GENERATE = "/switchyard.provider.v1.ProviderAdapterService/Generate"


class _Session:
    """A session that takes frames and sends none."""

    peer = "caller"

    def __init__(self, table: MethodTable) -> None:
        self.table = table
        self.outbox = Outbox(self._write)

    def remove(self, call_id: int) -> None: ...

    async def _write(self, frames: Any) -> None: ...


async def test_a_call_that_is_ended_from_two_sides_cleans_up_undisturbed(fakes: Fakes) -> None:
    method = fakes.table.find(_GENERATE)
    assert method is not None
    call = ServerCall(_Session(fakes.table), 1, method, Start(method=_GENERATE, timeout_ms=60_000), 1_000)
    call.run(GenerateRequest(model="block").SerializeToString())
    await fakes.noticed.wait("blocked")

    call.cancel()
    await asyncio.sleep(0)  # the servicer is in its clean-up now
    call._expire()
    call.cancel()

    await fakes.noticed.wait("generate over")

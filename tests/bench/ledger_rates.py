"""How fast the ledger holds and settles, on an embedded PostgreSQL with durable commits.

`python -m tests.bench.ledger_rates` prints a table: latency and CPU of Hold by concurrency, rates of settlement by batch
size and number of keys. Python's CPU is this process's, PostgreSQL's that of its backends.
"""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path

import asyncpg
import psutil
from switchyard.events.v1.usage_recorded_pb2 import UsageRecorded
from switchyard.ledger.v1 import ledger_pb2 as pb

from libs.bus.port import Delivered
from libs.clock import SystemClock
from libs.metrics import Metrics
from libs.pg.embedded import EmbeddedPostgres
from libs.pg.migrations import migrate
from libs.pg.pool import open_pool
from services.billing_ledger.consumers import UsageConsumer
from services.billing_ledger.counters import LedgerCounters
from services.billing_ledger.handlers import LedgerHandlers
from services.billing_ledger.ports import Grant
from services.billing_ledger.server import LedgerServicer
from services.billing_ledger.store import PostgresLedgerStore
from tests.testkit.billing_ledger import delivered, usage_event

ACCOUNTS = 50
CREDIT = 10**15


class Rig:
    def __init__(self, pool: asyncpg.Pool, postmaster: int, max_in_flight: int) -> None:
        clock = SystemClock()
        store = PostgresLedgerStore(pool)
        self.handlers = LedgerHandlers(store, clock, LedgerCounters(Metrics()), max_in_flight=max_in_flight)
        self.door = LedgerServicer(self.handlers)
        self.consumer = UsageConsumer(self.handlers, clock)
        self.postmaster = psutil.Process(postmaster)

    def postgres_cpu_s(self) -> float:
        total = 0.0
        for child in self.postmaster.children():
            times = child.cpu_times()
            total += times.user + times.system
        return total


async def hold(rig: Rig, clients: int, accounts: int, seconds: float, *, void_each: bool) -> None:
    """Each client holds; with `void_each` it voids without waiting for that, as an edge does when it fails."""
    latencies: list[float] = []
    voids: set[asyncio.Future[pb.VoidResponse]] = set()
    end_s = time.perf_counter() + seconds
    run = secrets.token_hex(4)

    async def client(number: int) -> None:
        count = 0
        while time.perf_counter() < end_s:
            count += 1
            wire = pb.HoldRequest(
                generation_id=f"gen-1795478400-{run}{number:04}{count:08}",
                account_id=f"acct_{number % accounts:036}",
                key_hash=f"{number % accounts:064}",
                fixed_nano_usd=5_000,
                token_price=600_000_000,
                tokens=1_000,
                minimum_tokens=1_000,
                key_limit_nano_usd=CREDIT,
                owner="edge_bench",
            ).SerializeToString()
            began_s = time.perf_counter()
            request = pb.HoldRequest.FromString(wire)
            (await rig.door.Hold(request, None)).SerializeToString()
            latencies.append(time.perf_counter() - began_s)
            if not void_each:
                continue
            void = asyncio.ensure_future(rig.door.Void(pb.VoidRequest(generation_id=request.generation_id), None))
            voids.add(void)
            void.add_done_callback(voids.discard)

    async def work() -> None:
        await asyncio.gather(*(client(number) for number in range(clients)))
        await asyncio.gather(*voids)

    elapsed_s, python_s, postgres_s = await _measured(rig, work)
    latencies.sort()
    count = len(latencies)
    p50, p99 = latencies[count // 2], latencies[count * 99 // 100]
    print(
        f"hold{'+void' if void_each else '     '}  clients {clients:4}  accounts {accounts:3}  {count / elapsed_s:8.0f}/s  p50 {p50 * 1e3:6.2f} ms  "
        f"p99 {p99 * 1e3:6.2f} ms  CPU/call: Python {python_s / count * 1e6:5.0f} µs, PostgreSQL {postgres_s / count * 1e6:5.0f} µs"
    )


async def settle(rig: Rig, batch: int, keys: int, events: int, consumers: int) -> None:
    now_ms = SystemClock().now_ms()
    run = secrets.token_hex(4)
    batches: list[Sequence[Delivered]] = []
    for start in range(0, events, batch):
        records = []
        for number in range(start, min(start + batch, events)):
            key = number % keys
            event = usage_event(
                f"gen-1795478400-{run}{number:012}",
                account_id=f"acct_{key % ACCOUNTS:036}",
                key_hash=f"{key:064}",
                created_at_ms=now_ms,
            )
            event.requested_model = event.model = "acme/large-model"
            event.endpoint_id = "acme/acme/large-model"
            event.usage.cache_read_tokens = 5
            records.append(delivered(event, number))
        batches.append(records)
    for number in range(0, len(batches[0]), 250):  # holds for the first batch; the others settle without one
        await asyncio.gather(*(rig.door.Hold(_hold_for(record), None) for record in batches[0][number : number + 250]))

    async def consume() -> None:
        while batches:
            assert not await rig.consumer.handle(batches.pop(0))

    async def work() -> None:
        await asyncio.gather(*(consume() for _ in range(consumers)))

    elapsed_s, python_s, postgres_s = await _measured(rig, work)
    print(
        f"settle  batch {batch:5}  keys {keys:5}  consumers {consumers}  {events / elapsed_s:8.0f} events/s  "
        f"CPU/event: Python {python_s / events * 1e6:5.1f} µs, PostgreSQL {postgres_s / events * 1e6:5.1f} µs"
    )


def _hold_for(record: Delivered) -> pb.HoldRequest:
    event = UsageRecorded.FromString(record.record.value)
    return pb.HoldRequest(
        generation_id=event.generation_id,
        account_id=event.account_id,
        key_hash=event.key_hash,
        fixed_nano_usd=50,
        owner="o",
    )


async def _measured(rig: Rig, work: Callable[[], Awaitable[None]]) -> tuple[float, float, float]:
    postgres_s, python_s, began_s = rig.postgres_cpu_s(), time.process_time(), time.perf_counter()
    await work()
    return time.perf_counter() - began_s, time.process_time() - python_s, rig.postgres_cpu_s() - postgres_s


async def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="sy-bench-", dir="/tmp"))
    await asyncio.to_thread(folder.chmod, 0o711)  # PostgreSQL runs as another user when we are root
    server = EmbeddedPostgres(folder / "data")
    await server.start()
    assert server.pid is not None
    try:
        async with open_pool(server.dsn, application_name="bench", min_size=4) as pool:
            await migrate(pool, schema="billing_ledger", folder=files("services.billing_ledger") / "migrations")
            rig = Rig(pool, server.pid, max_in_flight=2)
            for number in range(ACCOUNTS):
                await rig.handlers.grant(Grant(f"acct_{number:036}", CREDIT, "bench", "bench"))
            for in_flight in (1, 2):
                print(f"batches in flight: {in_flight}")
                rig = Rig(pool, server.pid, max_in_flight=in_flight)
                for clients, accounts in ((1, 1), (32, 1), (64, 1), (64, 50), (256, 50)):
                    await hold(rig, clients, accounts, 1.5, void_each=False)
                await hold(rig, 64, 50, 1.5, void_each=True)
            for batch, keys, consumers in ((500, 1, 1), (500, 50, 1), (500, 5_000, 1), (1_000, 50, 1), (1_000, 50, 2)):
                await settle(rig, batch, keys, 30_000, consumers)
    finally:
        await server.stop()
        await asyncio.to_thread(shutil.rmtree, folder)


if __name__ == "__main__":
    asyncio.run(main())

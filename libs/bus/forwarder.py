"""The way from the spool to the event log: in order, in batches, for as long as it takes.

Owns pace and patience. Does not own files. Invariant: a batch is acknowledged only after the log took it; a record that
the log can never take is set aside in a file, not dropped, and does not stop the others.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from libs.bus.backlog import Backlog
from libs.bus.port import EventLog, Record
from libs.bus.stopping import wait_for_event
from libs.logs import Throttled, facts
from libs.retry import Backoff

_PUBLISH_TIMEOUT_S = 60.0
_SAVE_INTERVAL_S = 1.0

_log = logging.getLogger(__name__)


class Forwarder:
    def __init__(
        self, backlog: Backlog, event_log: EventLog, *, max_batch: int, linger_s: float, backoff: Backoff
    ) -> None:
        self._backlog = backlog
        self._event_log = event_log
        self._max_batch = max_batch
        self._linger_s = linger_s
        self._backoff = backoff
        self._throttled = Throttled(_log)
        self._hurried = asyncio.Event()
        self._saved_s = 0.0

    def hurry(self) -> None:
        """Stops lingering, for someone waits for the end."""
        self._hurried.set()

    async def run(self) -> None:
        """Publishes until cancelled."""
        try:
            while True:
                try:
                    await self._step()
                except Exception:  # noqa: BLE001 (a loop that must outlive whatever happens to it)
                    _log.exception("forwarding failed, trying again")
                    await asyncio.sleep(self._backoff.cap_s)
        finally:
            await self._backlog.save()

    async def _step(self) -> None:
        """Waits for records and publishes one batch."""
        self._backlog.came.clear()
        if self._backlog.records < self._max_batch and not self._hurried.is_set():
            await wait_for_event(self._hurried, self._linger_s)
        batch = await self._backlog.take(self._max_batch)
        if batch is None:
            if not await wait_for_event(self._backlog.came, _SAVE_INTERVAL_S):
                await self._backlog.save()
                await self._backlog.came.wait()
            return
        await self._publish(batch.records)
        self._backlog.acknowledge(batch)
        if time.monotonic() - self._saved_s >= _SAVE_INTERVAL_S:
            await self._backlog.save()
            self._saved_s = time.monotonic()

    async def _publish(self, records: Sequence[Record]) -> None:
        """Returns when the log took every record that it can take."""
        for delay_s in self._backoff.delays():
            try:
                async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                    await self._event_log.publish(records)
            except ValueError as error:
                await self._set_aside(records, error)
                return
            except OSError as error:
                self._throttled.warning(
                    "event log is away, records wait in the spool",
                    records=self._backlog.depth.records,
                    error=repr(error)[:300],
                )
                await asyncio.sleep(delay_s)
            else:
                return

    async def _set_aside(self, records: Sequence[Record], error: ValueError) -> None:
        """Publishes the halves one by one until the record that the log refuses stands alone."""
        if len(records) > 1:
            middle = len(records) // 2
            await self._publish(records[:middle])
            await self._publish(records[middle:])
            return
        _log.error(
            "event log refuses a record, set aside in the spool's folder",
            extra=facts(topic=records[0].topic, event_id=records[0].event_id, error=repr(error)[:300]),
        )
        await asyncio.to_thread(self._backlog.refuse, records[0])

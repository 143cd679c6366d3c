"""The relay: takes what commits have left in the outbox to the mode, then deletes it.

Rows of a commit in this process come leased already, so that the usual path costs no query; whatever else has come due
(rows of a process that died, rows put off) is looked for at every poll, however busy the usual path is. Publishing
twice is harmless, losing a row is not: a row goes only after the mode has it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from sagakit.faults import failpoints
from sagakit.ports import CALLS, Mode, Outgoing, Store, StoreUnavailable
from sagakit.telemetry import Metrics
from sagakit.waiting import set_within

log = logging.getLogger(__name__)

BACKLOG_MAX = 20_000


class Relay:
    """`offer` after a commit; `run` publishes until cancelled, and finishes the batch in hand first."""

    def __init__(
        self,
        store: Store,
        mode: Mode,
        metrics: Metrics,
        *,
        batch: int = 500,
        poll: float = 0.5,
        lease: float = 5.0,
        timeout: float = 10,
    ) -> None:
        self._store, self._mode, self._metrics = store, mode, metrics
        self._batch, self._poll, self._lease, self._timeout = batch, poll, lease, timeout
        self._offered: deque[tuple[float, Outgoing]] = deque()
        self._wake = asyncio.Event()

    def offer(self, rows: Sequence[Outgoing]) -> None:
        """Rows just committed under this process's lease. Beyond a bound they wait for the poll instead."""
        if len(self._offered) < BACKLOG_MAX:
            ends = asyncio.get_running_loop().time() + self._lease
            self._offered.extend((ends, row) for row in rows if row.channel != CALLS)
            self._wake.set()

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            try:
                rows = self._fresh(clock())
                if clock() >= due:
                    taken = await self._store.take(calls=False, limit=self._batch)
                    due = clock() + (self._poll if len(taken) < self._batch else 0)
                    rows += taken
                if rows:
                    await self._finish(rows)
                else:
                    await self._sleep(due - clock())
            except StoreUnavailable as error:
                log.warning("the relay waits for its store: %s", error)
                await asyncio.sleep(self._poll)

    def _fresh(self, now: float) -> list[Outgoing]:
        """The next offered rows that are still ours: a lease that is over may be somebody else's by now."""
        rows: list[Outgoing] = []
        while self._offered and len(rows) < self._batch:
            ends, row = self._offered.popleft()
            if ends > now:
                rows.append(row)
        return rows

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        await set_within(self._wake, max(seconds, 0.001))

    async def _finish(self, rows: list[Outgoing]) -> None:
        task = asyncio.ensure_future(self._publish(rows))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _publish(self, rows: list[Outgoing]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await failpoints.pass_by("before-publish")
                await self._mode.publish(rows)
                await failpoints.pass_by("after-publish")
        except Exception as error:
            log.warning("publishing %d messages failed, they stay in the outbox: %r", len(rows), error)
            attempts = max(row.attempts for row in rows)
            await self._store.postpone(rows, min(0.2 * 2**attempts, 5.0))
            return
        for row in rows:
            self._metrics.outbox_published.labels(row.type).inc()
            self._metrics.outbox_published_bytes.labels(row.type).inc(len(row.body))
        await self._store.done(rows)

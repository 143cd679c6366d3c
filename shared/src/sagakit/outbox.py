"""The relay: takes what commits have left in the outbox to the mode, then deletes it.

Rows of a commit in this process come leased already, so that the usual path costs no query; rows of a process that
died, or that could not be published, come due when their lease ends, and are looked for every `poll` seconds.
Publishing twice is harmless, losing a row is not: a row goes only after the mode has it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from sagakit.faults import failpoints
from sagakit.ports import CALLS, Mode, Outgoing, Store
from sagakit.telemetry import Metrics

log = logging.getLogger(__name__)

BACKLOG_MAX = 20_000


class Relay:
    """`offer` after a commit; `run` publishes until cancelled, and finishes the batch in hand first."""

    def __init__(
        self, store: Store, mode: Mode, metrics: Metrics, *, batch: int = 500, poll: float = 0.5, timeout: float = 10
    ) -> None:
        self._store, self._mode, self._metrics = store, mode, metrics
        self._batch, self._poll, self._timeout = batch, poll, timeout
        self._offered: list[Outgoing] = []
        self._wake = asyncio.Event()

    def offer(self, rows: Sequence[Outgoing]) -> None:
        """Rows just committed under this process's lease. Beyond a bound they wait for the poll instead."""
        if len(self._offered) < BACKLOG_MAX:
            self._offered.extend(row for row in rows if row.channel != CALLS)
            self._wake.set()

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        looked = clock()
        while True:
            rows, self._offered = self._offered[: self._batch], self._offered[self._batch :]
            left = looked + self._poll - clock()
            if not rows and left > 0:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), left)
                continue
            if left <= 0:
                due = await self._store.take(calls=False, limit=self._batch)
                looked = clock() - (self._poll if len(due) == self._batch else 0)
                rows += due
            if rows:
                await self._finish(rows)

    async def _finish(self, rows: list[Outgoing]) -> None:
        task = asyncio.ensure_future(self._publish(rows))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _publish(self, rows: list[Outgoing]) -> None:
        try:
            await failpoints.pass_by("before-publish")
            async with asyncio.timeout(self._timeout):
                await self._mode.publish(rows)
        except Exception as error:
            log.warning("publishing %d messages failed, they stay in the outbox: %r", len(rows), error)
            attempts = max(row.attempts for row in rows)
            await self._store.postpone(rows, min(0.2 * 2**attempts, 5.0))
            return
        await failpoints.pass_by("after-publish")
        for row in rows:
            self._metrics.outbox_published.labels(row.type).inc()
        await self._store.done(rows)

"""The relay: takes what commits have left in the outbox to the mode, then deletes it.

Rows of a commit in this process come leased already, so that the usual path costs no query; whatever else has come due
(rows of a process that died, rows put off) is looked for at every poll, however busy the usual path is. Publishing
twice is harmless, losing a row is not: a row goes only after the mode has it.

**A row that cannot be published, or a broker that is away?** The relay cannot tell from one failure. After a batch has
failed it publishes one row, then two, four, ... while that works, until what fails is by itself. A row that failed by
itself is put off with a backoff of its own, and is always tried alone from then on. While nothing at all can be
published there is one try of one row at a time, with growing pauses: an outage is not answered with more work.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from sagakit.faults import failpoints
from sagakit.ports import CALLS, Mode, OutboxRow, RowsLocked, Store, StoreUnavailable
from sagakit.tasks import USUAL, Backoff, set_within
from sagakit.telemetry import Metrics

log = logging.getLogger(__name__)

BACKLOG_MAX: Final = 20_000
REFUSED_MAX: Final = 1_000  # rows that failed alone, remembered: they may be written, and offered, anew
HOLD_MAX: Final = 0.5  # seconds between two tries while nothing can be published: an outage is over when it is over
BLAMED: Final = 2  # single rows that fail one after another before it looks like an outage

Leased = tuple[float, OutboxRow]  # until when it is ours, by the loop's clock


class Relay:
    """`offer` after a commit; `run` publishes until cancelled, and finishes the batch in hand first.

    `batch`: rows in one publish at most; `poll`, `lease`, `timeout` (of a publish): seconds.
    """

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
        backoff: Backoff = USUAL,
    ) -> None:
        self._store, self._mode, self._metrics = store, mode, metrics
        self._batch, self._poll, self._lease, self._timeout = batch, poll, lease, timeout
        self._backoff = backoff
        self._waiting: deque[Leased] = deque()
        self._suspects: deque[Leased] = deque()
        self._refused: dict[str, int] = {}  # how often a row has failed by itself
        self._size = batch  # of the next publish
        self._barren = 0  # failures of single rows since anything was published
        self._due = self._resume = 0.0
        self._wake = asyncio.Event()

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Rows just committed under this process's lease. Beyond a bound they wait for the poll instead."""
        if len(self._waiting) < BACKLOG_MAX:
            ends = asyncio.get_running_loop().time() + self._lease
            for row in rows:
                if row.channel != CALLS:
                    (self._suspects if self._failures(row) else self._waiting).append((ends, row))
            self._wake.set()

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            try:
                await self._look()
                if rows := self._next(self._waiting, self._size):
                    await self._finish(rows)
                nothing_goes = self._barren and (self._waiting or clock() < self._resume)
                if not nothing_goes and (suspect := self._next(self._suspects, 1)):
                    await self._finish(suspect)
                if clock() < self._resume:
                    await asyncio.sleep(self._resume - clock())
                elif not self._waiting and not self._suspects:
                    await set_within(self._wake, max(self._due - clock(), 0.001))
            except (StoreUnavailable, RowsLocked) as error:
                log.warning("the relay waits for its store: %s", error)
                await asyncio.sleep(self._poll)

    async def _look(self) -> None:
        """Lease what has come due, when it is time; while publishing fails no more than fits into one batch."""
        clock = asyncio.get_running_loop().time
        crowded = self._size < self._batch and len(self._waiting) + len(self._suspects) >= self._batch
        if clock() < self._due or crowded:
            return
        self._due = clock() + self._poll
        ends = clock() + self._lease
        taken = await self._store.lease_due(calls=False, limit=self._batch)
        if len(taken) >= self._batch:
            self._due = clock()
        self._waiting.extendleft((ends, row) for row in reversed(taken) if not self._failures(row))
        self._suspects.extend((ends, row) for row in taken if self._failures(row))

    def _next(self, queue: deque[Leased], most: int) -> list[Leased]:
        """Rows that are still ours: a lease that is over may be somebody else's by now."""
        now = asyncio.get_running_loop().time()
        rows: list[Leased] = []
        while queue and len(rows) < most:
            leased = queue.popleft()
            if leased[0] > now:
                rows.append(leased)
        return rows

    def _failures(self, row: OutboxRow) -> int:
        return max(row.attempts, self._refused.get(row.id, 0))

    async def _finish(self, rows: list[Leased]) -> None:
        task = asyncio.ensure_future(self._publish(rows))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _publish(self, leased: list[Leased]) -> None:
        rows = [row for _, row in leased]
        try:
            async with asyncio.timeout(self._timeout):
                await failpoints.pass_by("before-publish")
                await self._mode.publish(rows)
                await failpoints.pass_by("after-publish")
        except Exception as error:
            if len(rows) > 1:
                log.info("publishing %d messages failed, they are tried one by one: %r", len(rows), error)
                self._size = 1
                self._waiting.extendleft(reversed(leased))
            else:
                await self._put_off(rows[0], error)
            return
        self._barren, self._size = 0, min(self._size * 2, self._batch)
        for row in rows:
            self._refused.pop(row.id, None)
            self._metrics.outbox_published.labels(row.type).inc()
            self._metrics.outbox_published_bytes.labels(row.type).inc(len(row.body))
        await self._store.done(rows)

    async def _put_off(self, row: OutboxRow, error: Exception) -> None:
        """A row that failed by itself. Its neighbours go on, unless nothing has gone through since one failed."""
        now, failures = asyncio.get_running_loop().time(), self._failures(row)
        pause = self._backoff.pause(failures)
        hold = self._hold(self._barren)
        if failures:
            grew = pause > self._backoff.pause(failures - 1)
        else:
            grew = not self._barren or hold > self._hold(self._barren - 1)
        log.log(
            logging.WARNING if grew else logging.DEBUG,
            "%s, attempt %d, could not be published, it is tried again in %g s: %r",
            row.id,
            failures + 1,
            pause,
            error,
        )
        if failures == 0 or self._barren:
            self._resume = now + hold
            self._barren, self._size = self._barren + 1, 1
            self._waiting.rotate(-(len(self._waiting) // 2))  # the next try is of one that was not written beside it
        self._refused[row.id] = failures + 1
        while len(self._refused) > REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        self._due = min(self._due, now + pause + 0.005)
        await self._store.postpone([row], pause)

    def _hold(self, barren: int) -> float:
        """None after the first rows, which may be to blame themselves: others are tried at once."""
        return min(self._backoff.pause(barren - BLAMED), HOLD_MAX) if barren >= BLAMED else 0.0

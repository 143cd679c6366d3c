"""The relay: takes what commits have left in the outbox to the mode, then deletes it.

Publishing twice is harmless, losing a row is not: a row is deleted only after the mode has it. Rows published within a
tenth of a second are deleted together. Due rows are looked for at every poll, however busy this process's own commits
keep the relay.

**A row that cannot be published, or a broker that is unavailable?** The relay cannot tell from one failure. After a
batch has failed it publishes one row, then two, four, ... while that works, until what fails is by itself. A row that
failed by itself is postponed with a backoff of its own, and is always tried alone from then on. While nothing at all
can be published, one row at a time is tried, with growing pauses: an outage is not answered with more work.
"""

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from sagakit.activity import Activity
from sagakit.engine.leases import LeasedRow, Leases
from sagakit.faults import failpoints
from sagakit.ports import Mode, OutboxRow, RowsLocked, Store, StoreUnavailable
from sagakit.tasks import USUAL, Backoff, finish_then_cancel
from sagakit.telemetry import Metrics
from sagakit.tracing import tracing

log = logging.getLogger(__name__)

BACKLOG_MAX: Final = 20_000
TOGETHER: Final = 0.1  # seconds after which published rows are deleted, with those published meanwhile
REFUSED_MAX: Final = 1_000  # rows that failed alone, remembered: they may be written, and offered, anew
HOLD_MAX: Final = 0.5  # seconds between two tries while nothing can be published, so that its end is noticed soon
BLAMED: Final = 2  # single rows that fail one after another before it looks like an outage


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
        backoff: Backoff = USUAL,
        activity: Activity | None = None,
    ) -> None:
        """`batch`: rows in one publish at most; `poll`, `lease`, `timeout` (of a publish): seconds."""
        self._store, self._mode, self._metrics = store, mode, metrics
        self._activity = activity or Activity()
        self._batch, self._poll, self._timeout, self._backoff = batch, poll, timeout, backoff
        self._leases = Leases(store, calls=False, poll=poll, lease=lease)
        self._waiting: deque[LeasedRow] = deque()
        self._suspects: deque[LeasedRow] = deque()  # rows that have failed before
        self._published: list[OutboxRow] = []  # and not deleted yet
        self._together, self._delete_at = min(TOGETHER, lease / 4), 0.0  # when to delete them, by the loop's clock
        self._refused: dict[str, int] = {}  # how often a row has failed by itself
        self._size = batch  # of the next publish
        self._barren = 0  # failures of single rows since anything was published
        self._resume = 0.0  # when the next try may be made, by the loop's clock

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Take over the messages of a commit, under this process's lease; beyond a bound they wait for the poll."""
        if len(self._waiting) < BACKLOG_MAX:
            for leased in self._leases.offered(rows):
                (self._suspects if self._failures(leased.row) else self._waiting).append(leased)

    async def run(self) -> None:
        """Publish until cancelled; what was published is then deleted."""
        try:
            await self._run()
        finally:
            with contextlib.suppress(StoreUnavailable, RowsLocked):
                await self._delete()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._leases.wake.clear()
            try:
                await self._lease_due()
                if rows := self._leases.take(self._waiting, self._size):
                    await finish_then_cancel(self._publish(rows))
                nothing_goes = self._barren and (self._waiting or clock() < self._resume)
                if not nothing_goes and (suspect := self._leases.take(self._suspects, 1)):
                    await finish_then_cancel(self._publish(suspect))
                if self._published and clock() >= self._delete_at:
                    await finish_then_cancel(self._delete())
                if clock() < self._resume:
                    await asyncio.sleep(self._resume - clock())
                elif not self._waiting and not self._suspects:
                    await self._leases.wait(until=self._delete_at if self._published else None)
            except (StoreUnavailable, RowsLocked) as error:
                log.warning("the relay waits for its store: %s", error)
                await asyncio.sleep(self._poll)

    async def _lease_due(self) -> None:
        """Lease rows that have come due; while publishing fails, no more than fit into one batch."""
        if self._size < self._batch and len(self._waiting) + len(self._suspects) >= self._batch:
            return
        due = await self._leases.lease_due(self._batch)
        self._waiting.extendleft(leased for leased in reversed(due) if not self._failures(leased.row))
        self._suspects.extend(leased for leased in due if self._failures(leased.row))

    def _failures(self, row: OutboxRow) -> int:
        return max(row.attempts, self._refused.get(row.id, 0))

    async def _publish(self, leased: list[LeasedRow]) -> None:
        rows, began = [one.row for one in leased], asyncio.get_running_loop().time()
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
                await self._postpone(rows[0], error)
            return
        self._barren, self._size = 0, min(self._size * 2, self._batch)
        if tracing.on:
            tracing.published(rows, asyncio.get_running_loop().time() - began)
        self._count(rows)
        if not self._published:
            self._delete_at = asyncio.get_running_loop().time() + self._together
        self._published += rows

    async def _delete(self) -> None:
        """Delete the rows that were published. If the store does not answer, they are kept for the next time."""
        if rows := self._published:
            await self._store.delete(rows)
            self._published = []

    def _count(self, rows: Sequence[OutboxRow]) -> None:
        numbers: Counter[str] = Counter()
        lengths: Counter[str] = Counter()
        for row in rows:
            self._refused.pop(row.id, None)
            numbers[row.type] += 1
            lengths[row.type] += len(row.body)
        for name, number in numbers.items():
            self._metrics.outbox_published.labels(name).inc(number)
            self._metrics.outbox_published_bytes.labels(name).inc(lengths[name])

    async def _postpone(self, row: OutboxRow, error: Exception) -> None:
        """Postpone a row that failed by itself. The others go on, unless nothing was published since one failed."""
        failures = self._failures(row)
        pause = self._backoff.pause(failures)
        hold = self._hold(self._barren)
        if failures:
            grew = pause > self._backoff.pause(failures - 1)
        else:
            grew = not self._barren or hold > self._hold(self._barren - 1)
        log.log(
            logging.WARNING if grew else logging.DEBUG,
            "%s, attempt %d, could not be published, it is retried in %g s: %r",
            row.id,
            failures + 1,
            pause,
            error,
        )
        self._activity.unpublished(row.key, row.type, failures + 1, error)
        if failures == 0 or self._barren:
            self._resume = asyncio.get_running_loop().time() + hold
            self._barren, self._size = self._barren + 1, 1
            self._waiting.rotate(-(len(self._waiting) // 2))  # next is one that was not written beside it
        self._refused[row.id] = failures + 1
        while len(self._refused) > REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        await self._leases.postpone(row, pause)

    def _hold(self, barren: int) -> float:
        """Seconds until the next try: none after the first rows, which may be to blame themselves."""
        return min(self._backoff.pause(barren - BLAMED), HOLD_MAX) if barren >= BLAMED else 0.0

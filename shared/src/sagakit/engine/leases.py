"""Leases on outbox rows: which rows are still this process's own, and when to look for more.

Rows come in two ways. Those of a commit in this process are leased already, and cost no query. All others (rows of a
process that died, rows that were postponed) are leased once they are due, by a look at every poll.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sagakit.ports import CALLS, OutboxRow, Store
from sagakit.tasks import set_within

MARGIN: Final = 0.005  # seconds after a postponed row comes due, by the database's clock, until the next look
SHORTEST: Final = 0.001  # seconds of a wait


class LeasedRow(NamedTuple):
    """A row, and until when it is this process's own, by the loop's clock."""

    until: float
    row: OutboxRow


class Leases:
    """Leases rows of one kind: provider calls, or messages.

    Attributes:
        wake: Ends `wait`. Clear it before looking at what was offered: what comes during the look then counts.
    """

    def __init__(self, store: Store, *, calls: bool, poll: float, lease: float) -> None:
        """`poll`: seconds between two looks; `lease`: seconds for which the store leases a row."""
        self._store, self._calls, self._poll, self._lease = store, calls, poll, lease
        self._due = 0.0
        self.wake = asyncio.Event()

    def offered(self, rows: Iterable[OutboxRow]) -> list[LeasedRow]:
        """Those of a commit's rows that are of this kind, with a lease that begins now."""
        until = asyncio.get_running_loop().time() + self._lease
        leased = [LeasedRow(until, row) for row in rows if (row.channel == CALLS) is self._calls]
        if leased:
            self.wake.set()
        return leased

    def take(self, queue: deque[LeasedRow], limit: int) -> list[LeasedRow]:
        """Up to `limit` rows from the front of the queue. One whose lease has ended may be another's: it is dropped."""
        now = asyncio.get_running_loop().time()
        taken: list[LeasedRow] = []
        while queue and len(taken) < limit:
            leased = queue.popleft()
            if leased.until > now:
                taken.append(leased)
        return taken

    async def lease_due(self, limit: int) -> Sequence[LeasedRow]:
        """Lease up to `limit` due rows, if it is time for a look; after a full one it is time again at once.

        Raises:
            StoreUnavailable: The store did not answer; what it leased comes due again.
            RowsLocked: As above.
        """
        clock = asyncio.get_running_loop().time
        if clock() < self._due:
            return ()
        self._due = clock() + self._poll  # before the look: a row that is postponed meanwhile may come due earlier
        until = clock() + self._lease
        rows = await self._store.lease_due(calls=self._calls, limit=limit)
        if len(rows) >= limit:
            self._due = clock()
        return [LeasedRow(until, row) for row in rows]

    async def postpone(self, row: OutboxRow, seconds: float) -> None:
        """Let the row come due after `seconds`, and look again then.

        Raises:
            StoreUnavailable: The store did not answer; the row comes due when its lease ends.
            RowsLocked: As above.
        """
        try:
            await self._store.postpone([row], seconds)
        finally:
            self._due = min(self._due, asyncio.get_running_loop().time() + seconds + MARGIN)

    async def wait(self, *, look: bool = True, until: float | None = None) -> None:
        """Until `wake` is set or, with `look`, it is time for one; or `until`, by the loop's clock."""
        ends = [time for time in (self._due if look else None, until) if time is not None]
        now = asyncio.get_running_loop().time()
        await set_within(self.wake, max(min(ends) - now, SHORTEST) if ends else None)

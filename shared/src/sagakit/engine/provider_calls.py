"""The caller: makes the calls to the outside world that commits have left in the outbox.

A call is made outside any transaction, under a lease, with a key that makes repeats harmless. Its definitive answer
enters through the same door as any command. A time-out means *unknown*: the same key is called again, for ever, with
backoff.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

import msgspec

from sagakit.engine.dispatcher import Dispatcher
from sagakit.faults import failpoints
from sagakit.ports import CALLS, OutboxRow, RowsLocked, Store, StoreUnavailable
from sagakit.provider import OutcomeUnknown, Provider, ProviderCall
from sagakit.service import Service
from sagakit.tasks import USUAL, Backoff, set_within
from sagakit.telemetry import Metrics

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(ProviderCall).decode


class ProviderCaller:
    """`offer` after a commit; `run` calls until cancelled. At most `concurrency` calls are under way."""

    def __init__(
        self,
        service: Service,
        store: Store,
        provider: Provider,
        dispatcher: Dispatcher,
        metrics: Metrics,
        *,
        concurrency: int = 32,
        poll: float = 0.5,
        lease: float = 5.0,
        backoff: Backoff = USUAL,
    ) -> None:
        self._service, self._store, self._provider = service, store, provider
        self._dispatcher, self._metrics = dispatcher, metrics
        self._concurrency, self._poll, self._lease = concurrency, poll, lease
        self._backoff = backoff
        self._wake = asyncio.Event()
        self._offered: deque[tuple[float, OutboxRow]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._finished: list[OutboxRow] = []
        self._due = 0.0

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Calls just committed under this process's lease; what does not fit waits for the poll."""
        calls = [row for row in rows if row.channel == CALLS]
        if calls and len(self._offered) < self._concurrency * 4:
            ends = asyncio.get_running_loop().time() + self._lease
            self._offered.extend((ends, row) for row in calls)
            self._wake.set()

    async def run(self) -> None:
        try:
            while True:
                self._wake.clear()
                try:
                    await self._forget()
                    await self._begin()
                except (StoreUnavailable, RowsLocked) as error:
                    log.warning("the caller waits for its store: %s", error)
                    await asyncio.sleep(self._poll)
                    continue
                await self._sleep()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _begin(self) -> None:
        """Start as many calls as there is room for: those offered, and when it is time, those that came due."""
        clock = asyncio.get_running_loop().time
        room = self._concurrency - len(self._under_way)
        while room and self._offered:
            ends, row = self._offered.popleft()
            if ends > clock():
                self._start(row)
                room -= 1
        if room and clock() >= self._due:
            self._due = clock() + self._poll  # before the look: a call that is put off meanwhile may come due earlier
            taken = await self._store.lease_due(calls=True, limit=room)
            if len(taken) >= room:
                self._due = clock()
            for row in taken:
                self._start(row)

    def _start(self, row: OutboxRow) -> None:
        task = asyncio.create_task(self._call(row), name=row.id)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("call %s failed, it comes again when its lease ends", task.get_name(), exc_info=error)
        self._wake.set()

    async def _forget(self) -> None:
        """Delete the rows of calls whose answers are recorded, all that have gathered at once."""
        while self._finished:
            rows, self._finished = self._finished, []
            await self._store.done(rows)

    async def _sleep(self) -> None:
        room = len(self._under_way) < self._concurrency
        wait = max(self._due - asyncio.get_running_loop().time(), 0.001) if room else None
        await set_within(self._wake, wait)

    async def _call(self, row: OutboxRow) -> None:
        try:
            call = _decode(row.body)
        except (
            msgspec.DecodeError,
            RecursionError,
        ) as error:  # a bug; it counts attempts, and so comes to an operator's eyes
            log.error("call %s, attempt %d, cannot be read: %s", row.id, row.attempts + 1, error)
            await self._put_off(row)
            return
        count = self._metrics.provider_calls
        try:
            await failpoints.pass_by("before-call")
            with self._metrics.provider_seconds.labels(call.provider, call.operation).time():
                outcome = await self._provider.call(call)
            await failpoints.pass_by("after-call")
            await self._dispatcher.do(self._service.outcome(call, outcome), cause=call.key)
        except (StoreUnavailable, RowsLocked) as error:
            log.warning("the answer to %s is not recorded, it is asked for again: %s", call.key, error)
            await self._put_off(row)
        except Exception as error:
            unknown = isinstance(error, OutcomeUnknown)
            count.labels(call.provider, call.operation, "unknown" if unknown else "rejected").inc()
            log.log(
                logging.INFO if unknown else logging.ERROR,
                "call %s, attempt %d: %r; it is repeated under the same key",
                call.key,
                row.attempts + 1,
                error,
            )
            await self._put_off(row)
        else:
            count.labels(call.provider, call.operation, outcome.outcome).inc()
            self._finished.append(row)

    async def _put_off(self, row: OutboxRow) -> None:
        """Let the row come due after a pause; with the store down it does when its lease ends."""
        pause = self._backoff.pause(row.attempts)
        try:
            await self._store.postpone([row], pause)
        except (StoreUnavailable, RowsLocked):
            pause = self._lease
        self._due = min(self._due, asyncio.get_running_loop().time() + pause + 0.005)

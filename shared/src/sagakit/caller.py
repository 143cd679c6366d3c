"""The caller: makes the calls to the outside world that commits have left in the outbox.

A call is made outside any transaction, under a lease, with a key that makes repeats harmless. Its definitive answer
enters through the same door as any command. A time-out means *unknown*: the same key is called again, for ever, with
backoff.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from sagakit.dispatcher import Dispatcher
from sagakit.faults import failpoints
from sagakit.ports import CALLS, Outgoing, Store
from sagakit.provider import OutcomeUnknown, Provider, ProviderCall
from sagakit.service import Service
from sagakit.telemetry import Metrics

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(ProviderCall).decode


class Caller:
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
        retry_initial: float = 0.1,
        retry_max: float = 5.0,
    ) -> None:
        self._service, self._store, self._provider = service, store, provider
        self._dispatcher, self._metrics = dispatcher, metrics
        self._concurrency, self._poll = concurrency, poll
        self._retry_initial, self._retry_max = retry_initial, retry_max
        self._wake = asyncio.Event()
        self._due = False
        self._offered: list[Outgoing] = []

    def offer(self, rows: Sequence[Outgoing]) -> None:
        """Calls just committed under this process's lease; what does not fit waits for the poll."""
        calls = [row for row in rows if row.channel == CALLS]
        if calls and len(self._offered) < self._concurrency * 4:
            self._offered.extend(calls)
            self._wake.set()

    async def run(self) -> None:
        under_way: set[asyncio.Task[None]] = set()
        clock = asyncio.get_running_loop().time
        looked = 0.0
        try:
            while True:
                room = self._concurrency - len(under_way)
                rows, self._offered = self._offered[:room], self._offered[room:]
                if room > len(rows) and (self._due or clock() - looked >= self._poll):
                    self._due, looked = False, clock()
                    rows += await self._store.take(calls=True, limit=room - len(rows))
                for row in rows:
                    task = asyncio.create_task(self._call(row), name=row.id)
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    task.add_done_callback(self._ended)
                if not rows or not room:
                    await self._sleep()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A call whose row could not be given back comes due again when its lease ends."""
        if not task.cancelled() and (error := task.exception()):
            log.warning("call %s stays leased: %r", task.get_name(), error)
        self._wake.set()

    def _look(self) -> None:
        self._due = True
        self._wake.set()

    async def _sleep(self) -> None:
        if not self._offered and not self._due:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), self._poll)
            except TimeoutError:
                return

    async def _call(self, row: Outgoing) -> None:
        call = _decode(row.body)
        count = self._metrics.provider_calls
        try:
            await failpoints.pass_by("before-call")
            with self._metrics.provider_seconds.labels(call.provider, call.operation).time():
                outcome = await self._provider.call(call)
            await failpoints.pass_by("after-call")
            await self._dispatcher.do(self._service.outcome(call, outcome), cause=call.key)
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
            pause = min(self._retry_initial * 2 ** min(row.attempts, 20), self._retry_max)
            await self._store.postpone([row], pause)
            asyncio.get_running_loop().call_later(pause + 0.005, self._look)
            return
        count.labels(call.provider, call.operation, outcome.outcome).inc()
        await self._store.done([row])

"""Makes the calls to the outside world that commits have left in the outbox.

A call is made outside any transaction, under a lease, with a key that makes repeats harmless. Its definitive answer
goes through the dispatcher like any command. A timeout means *unknown*: the same key is called again, without limit,
with backoff.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from time import perf_counter

import msgspec

from sagakit import telemetry
from sagakit.activity import Activity
from sagakit.engine.dispatcher import Dispatcher
from sagakit.engine.leases import LeasedRow, Leases
from sagakit.faults import failpoints
from sagakit.ports import OutboxRow, RowsLocked, Store, StoreUnavailable
from sagakit.provider import OutcomeUnknown, Provider, ProviderCall, ProviderOutcome
from sagakit.service import ProviderPort
from sagakit.tasks import USUAL, Backoff
from sagakit.telemetry import Metrics
from sagakit.tracing import tracing

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(ProviderCall).decode


class ProviderCaller:
    """`offer` after a commit; `run` calls until cancelled. At most `concurrency` calls are under way."""

    def __init__(
        self,
        port: ProviderPort,
        store: Store,
        provider: Provider,
        dispatcher: Dispatcher,
        metrics: Metrics,
        *,
        concurrency: int = 32,
        poll: float = 0.5,
        lease: float = 5.0,
        backoff: Backoff = USUAL,
        activity: Activity | None = None,
    ) -> None:
        """`poll`: seconds between two looks for due calls; `lease`: seconds for which the store leases a call."""
        self._port, self._store, self._provider = port, store, provider
        self._dispatcher, self._metrics, self._activity = dispatcher, metrics, activity or Activity()
        self._concurrency, self._poll, self._backoff = concurrency, poll, backoff
        self._leases = Leases(store, calls=True, poll=poll, lease=lease)
        self._offered: deque[LeasedRow] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._finished: list[OutboxRow] = []

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Take over the calls of a commit, under this process's lease; what does not fit waits for the poll."""
        if len(self._offered) < self._concurrency * 4:
            self._offered.extend(self._leases.offered(rows))

    async def run(self) -> None:
        """Make calls until cancelled; calls under way are then abandoned, and made again when their leases end."""
        try:
            while True:
                self._leases.wake.clear()
                try:
                    await self._delete_finished()
                    await self._start_calls()
                except (StoreUnavailable, RowsLocked) as error:
                    log.warning("provider calls wait for their store: %s", error)
                    await asyncio.sleep(self._poll)
                    continue
                await self._leases.wait(look=len(self._under_way) < self._concurrency)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _start_calls(self) -> None:
        """Start as many calls as there is room for: those offered first, then those that came due."""
        for leased in self._leases.take(self._offered, self._concurrency - len(self._under_way)):
            self._start(leased.row)
        if room := self._concurrency - len(self._under_way):
            for leased in await self._leases.lease_due(room):
                self._start(leased.row)

    def _start(self, row: OutboxRow) -> None:
        task = asyncio.create_task(self._call(row), name=row.id)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("call %s failed, it is repeated when its lease ends", task.get_name(), exc_info=error)
        self._leases.wake.set()

    async def _delete_finished(self) -> None:
        """Delete the rows of calls whose answers are recorded, all that have gathered in one statement."""
        while self._finished:
            rows, self._finished = self._finished, []
            await self._store.delete(rows)

    async def _call(self, row: OutboxRow) -> None:
        try:
            call = _decode(row.body)
        except (msgspec.DecodeError, RecursionError) as error:
            # A bug. It counts attempts, so that an operator comes to see it
            log.error("call %s, attempt %d, cannot be read: %s", row.id, row.attempts + 1, error)
            await self._postpone(row)
            return
        telemetry.traceparent.set(call.traceparent or "")  # of this task: for its log lines, and for the provider
        count = self._metrics.provider_calls
        try:
            await failpoints.pass_by("before-call")
            with tracing.calling(call, row.attempts + 1) if tracing.on else contextlib.nullcontext():
                outcome = await self._ask(call, row.attempts + 1)
            await failpoints.pass_by("after-call")
            await self._dispatcher.do(self._port.outcome(call, outcome), call.key, call.traceparent)
        except (StoreUnavailable, RowsLocked) as error:
            log.warning("the answer to %s is not recorded, the call is repeated: %s", call.key, error)
            await self._postpone(row)
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
            await self._postpone(row)
        else:
            count.labels(call.provider, call.operation, outcome.outcome).inc()
            self._finished.append(row)

    async def _ask(self, call: ProviderCall, attempt: int) -> ProviderOutcome:
        began = perf_counter()
        outcome: str | Exception = "cancelled"
        try:
            with self._metrics.provider_seconds.labels(call.provider, call.operation).time():
                answer = await self._provider.call(call)
            outcome = answer.outcome
            return answer
        except Exception as error:
            outcome = error
            raise
        finally:
            self._activity.called(call, attempt, outcome, perf_counter() - began)

    async def _postpone(self, row: OutboxRow) -> None:
        with contextlib.suppress(StoreUnavailable, RowsLocked):  # then the row comes due when its lease ends
            await self._leases.postpone(row, self._backoff.pause(row.attempts))

"""The one door: every command of a service goes through here, whatever brought it.

**Group commit**: while a transaction is under way, all that arrives is collected and handled together in the next
one; a lone command never waits. A handler that raises fails alone: its batch is done again without it. A batch that
the store rejects, or in which a second handler raises, is halved until the culprit is by itself. When the store cannot
be reached, every command in hand fails with StoreUnavailable, and whoever sent it sends it again.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sagakit.door import Do, Forward, HandlerFailed, Item, candidates, claims, open_batch
from sagakit.faults import failpoints
from sagakit.message import Command, Event, message_id
from sagakit.ports import Changes, Mode, RowRejected, Store, StoreUnavailable
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.service import Service
from sagakit.telemetry import Metrics

log = logging.getLogger(__name__)

Answer = Event | None


@dataclass(slots=True, eq=False)
class _Waiting:
    item: Item
    answer: "asyncio.Future[Answer]"


class Dispatcher:
    """`do` and `do_all` are safe to call from any task of the loop; `run` is the one task that commits."""

    def __init__(
        self,
        service: Service,
        store: Store,
        mode: Mode,
        decide_now: Callable[[ProviderCall], ProviderOutcome | None],
        committed: Callable[[Changes], None],
        metrics: Metrics,
        batch_max: int = 500,
    ) -> None:
        self._service = service
        self._store = store
        self._mode = mode
        self._decide_now = decide_now
        self._committed = committed
        self._metrics = metrics
        self._batch_max = batch_max
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()

    async def do(self, command: Command, cause: str | None = None, traceparent: str | None = None) -> Answer:
        """Handle one command; its answer (see door.open_batch), once it is committed.

        Raises StoreUnavailable (nothing is known to have happened: send it again) or HandlerFailed (a bug).
        """
        return await self._enqueue(Do(command, cause, traceparent))

    async def do_all(self, items: Sequence[Item]) -> list[Answer | BaseException]:
        """Handle many at once; each gets its own answer or error."""
        return await asyncio.gather(*(self._enqueue(item) for item in items), return_exceptions=True)

    def _enqueue(self, item: Item) -> "asyncio.Future[Answer]":
        if isinstance(item, Do) and type(item.command) not in self._service.commands:
            raise LookupError(f"{self._service.name} has no handler for {type(item.command).__name__}")
        waiting = _Waiting(item, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        return waiting.answer

    async def run(self) -> None:
        """Commit batches until cancelled; a batch under way is finished first."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch_max and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            task = asyncio.ensure_future(self._handle(batch))
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                await task
                raise

    async def _handle(self, batch: list[_Waiting], halve: bool = False) -> None:
        try:
            answers, changes = await self._transact([waiting.item for waiting in batch])
        except StoreUnavailable as unavailable:
            log.warning("store unavailable, %d commands go back: %s", len(batch), unavailable)
            _fail(batch, unavailable)
        except Exception as error:
            culprits = [waiting for waiting in batch if isinstance(error, HandlerFailed) and waiting.item is error.item]
            if len(batch) == 1:
                self._give_up(batch[0], error)
            elif culprits and not halve:
                await self._handle([waiting for waiting in batch if waiting not in culprits], halve=True)
                await self._handle(culprits, halve=True)
            else:
                middle = len(batch) // 2
                await self._handle(batch[:middle], halve=True)
                await self._handle(batch[middle:], halve=True)
        else:
            self._committed(changes)
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
                self._metrics.commands.labels(_name(waiting.item), type(answer).__name__).inc()

    def _give_up(self, waiting: _Waiting, error: Exception) -> None:
        log.error("%s failed: %s", _name(waiting.item), error, exc_info=error.__cause__ or error)
        self._metrics.commands.labels(_name(waiting.item), "failed").inc()
        known = isinstance(error, HandlerFailed | RowRejected)
        _fail([waiting], error if known else HandlerFailed(waiting.item, error))

    async def _transact(self, items: list[Item]) -> tuple[list[Answer], Changes]:
        self._metrics.batch_size.observe(len(items))
        commands = [item.command for item in items if isinstance(item, Do)]
        with self._metrics.transaction_seconds.time():
            async with self._store.transaction() as transaction:
                reminded = sorted({item.subject for item in items if isinstance(item, Forward)})
                fresh, working = await transaction.enter(claims(items), commands, reminded)
                repeated = [command for command in commands if message_id(command) not in fresh]
                ids = sorted({key for command in repeated for key in candidates(self._service, command)})
                recorded = await transaction.recorded(ids) if ids else {}
                await failpoints.pass_by("before-handler")
                answers, changes = open_batch(
                    self._service, self._mode, items, fresh, working, recorded, self._decide_now
                )
                token = random.getrandbits(62)
                changes.outbox = {key: replace(row, token=token) for key, row in changes.outbox.items()}
                await transaction.save(working, changes)
                await failpoints.pass_by("before-commit")
        await failpoints.pass_by("after-commit")
        return answers, changes


def _name(item: Item) -> str:
    return type(item.command).__name__ if isinstance(item, Do) else "Forward"


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)

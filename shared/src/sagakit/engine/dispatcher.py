"""The one door: every command of a service goes through here, whatever brought it.

**Group commit**: while a transaction is under way, whatever arrives is collected and handled together in the next one;
a lone command never waits. A handler that raises fails alone: its batch is retried without it. A batch that the store
rejects, or in which a second handler raises, is halved until the culprit is by itself. When the store cannot be
reached, every command in hand fails with StoreUnavailable, and its sender retries it.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from sagakit.activity import Activity
from sagakit.engine.batch import apply_batch, candidates, claims
from sagakit.engine.lane import Answer, Lane, Request, Waiting
from sagakit.engine.suspects import Suspects
from sagakit.faults import failpoints
from sagakit.message import Command, Event, message_id
from sagakit.ports import Changes, Mode, RowExists, RowRejected, RowsLocked, Store, StoreUnavailable
from sagakit.provider import ProviderCall, ProviderOutcome
from sagakit.service import Service
from sagakit.tasks import Backoff, finish_then_cancel
from sagakit.telemetry import Metrics, traced
from sagakit.tracing import tracing
from sagakit.work import Execute, HandlerFailed, Item

log = logging.getLogger(__name__)

GRACE: Final = (0.01, 0.02, 0.04)  # seconds between tries, while another replica may be busy with the same rows
SEARCH: Final = 0.4  # seconds spent on finding out which commands of a batch are blocked by a lock


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
        patience: float = 5.0,
        pause: float = 0.02,
        activity: Activity | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            service: Whose commands these are.
            store: Its database.
            mode: Names the messages that an event leads to.
            decide_now: As in `apply_batch`.
            committed: Is called after each commit with what was written.
            metrics: Counts commands and transactions.
            batch_max: Commands in one transaction at most.
            patience: Seconds for which `do` waits for an answer, and for locked rows.
            pause: Seconds before the first retry of `do` over locked rows; they double, to a tenth of `patience`.
            activity: Is told what was handled, and what failed.
        """
        self._service = service
        self._store = store
        self._mode = mode
        self._decide_now = decide_now
        self._committed = committed
        self._metrics = metrics
        self._activity = activity or Activity()
        self._batch_max = batch_max
        self._patience, self._backoff = patience, Backoff(pause, patience / 10)
        self._usual, self._aside = Lane(), Lane()
        self._suspects = Suspects(monotonic)

    async def do(self, command: Command, cause: str | None = None, traceparent: str | None = None) -> Answer:
        """Handle one command; its answer (see `apply_batch`), once it is committed. Retries while its rows are locked.

        Raises:
            HandlerFailed: A handler raised: a bug.
            RowExists: Another row has a value of this one that must be unique; nothing has changed.
            StoreUnavailable: Nothing is known to have changed, or there was no answer within `patience`: send it again.
            RowsLocked: The rows stayed locked for `patience` seconds: send it again.
        """
        failures, locked = 0, None
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    (answer,) = await self._try_all([Execute(command, cause, traceparent)])
                    if not isinstance(answer, BaseException):
                        return answer
                    if not isinstance(answer, RowsLocked):
                        raise answer
                    locked = answer
                    await asyncio.sleep(self._backoff.pause(failures))
                    failures += 1
        except TimeoutError:
            raise locked or StoreUnavailable(f"no answer within {self._patience:g} s") from None

    async def do_all(self, items: Sequence[Item]) -> list[Answer | BaseException]:
        """Handle many at once; each gets its own answer or error. One with RowsLocked is to be sent again later."""
        answers = await self._try_all(items)
        for pause in GRACE:
            again = [at for at, answer in enumerate(answers) if isinstance(answer, RowsLocked)]
            again = [at for at in again if self._suspects.since(items[at].subject) <= sum(GRACE)]
            if not again:
                break
            await asyncio.sleep(pause)
            for at, answer in zip(again, await self._try_all([items[at] for at in again]), strict=True):
                answers[at] = answer
        return answers

    async def _try_all(self, items: Sequence[Item]) -> list[Answer | BaseException]:
        if not items:
            return []
        request = Request([None] * len(items), len(items), asyncio.get_running_loop().create_future())
        if tracing.on:
            items = tracing.follow(items, self._service.name, request.answered, request.answers)
        for position, item in enumerate(items):
            waiting = Waiting(item, request, position)
            if isinstance(item, Execute) and type(item.command) not in self._service.commands:
                unknown = LookupError(f"{self._service.name} has no handler for {type(item.command).__name__}")
                waiting.answer(HandlerFailed(item, unknown))
            else:
                (self._aside if item.subject in self._suspects else self._usual).put(waiting)
        await request.answered
        return request.answers

    async def run(self) -> None:
        """Commit batches until cancelled; a batch that is being committed is finished first."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._commit_all(self._usual))
            lanes.create_task(self._commit_all(self._aside))

    async def _commit_all(self, lane: Lane) -> None:
        while True:
            batch = await lane.take(self._batch_max)
            try:
                await finish_then_cancel(self._handle(batch))
            finally:
                _fail(batch, StoreUnavailable("the dispatcher failed"))  # has no effect on those that were answered

    async def _handle(self, batch: list[Waiting], halve: bool = False, until: float | None = None) -> None:
        try:
            answers, changes = await self._transact([waiting.item for waiting in batch])
        except RowsLocked as locked:
            await self._handle_unlocked(batch, locked, halve, until or monotonic() + SEARCH)
        except StoreUnavailable as unavailable:
            log.warning("store unavailable, %d commands are to be sent again: %s", len(batch), unavailable)
            _fail(batch, unavailable)
        except Exception as error:
            culprits = [waiting for waiting in batch if isinstance(error, HandlerFailed) and waiting.item is error.item]
            if len(batch) == 1:
                self._give_up(batch[0], error)
            elif culprits and not halve:
                await self._handle([waiting for waiting in batch if waiting not in culprits], True, until)
                await self._handle(culprits, True, until)
            else:
                for half in _halves(batch):
                    await self._handle(half, True, until)
        else:
            self._committed(changes)
            self._answer(batch, answers)

    def _answer(self, batch: Sequence[Waiting], answers: Sequence[Answer]) -> None:
        outcomes: Counter[tuple[str, str]] = Counter()
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.answer(answer)
            outcomes[_name(waiting.item), type(answer).__name__] += 1
        for labels, count in outcomes.items():
            self._metrics.commands.labels(*labels).inc(count)
        if self._suspects:
            for waiting in batch:
                self._suspects.discard(waiting.item.subject)

    async def _handle_unlocked(self, batch: list[Waiting], locked: RowsLocked, halve: bool, until: float) -> None:
        """Fail those whose rows are locked, and handle the rest. If the store names none, halve until `until`."""
        named = [waiting for waiting in batch if waiting.item.subject in locked.subjects]
        if not named and len(batch) > 1 and monotonic() < until:
            for half in _halves(batch):
                await self._handle(half, halve, until)
            return
        blocked = named or batch
        for waiting in blocked:
            self._suspects.add(waiting.item.subject)
            self._metrics.commands.labels(_name(waiting.item), "locked").inc()
        self._activity.failed([waiting.item for waiting in blocked], locked)
        _fail(blocked, locked)
        if rest := [waiting for waiting in batch if waiting not in blocked]:
            await self._handle(rest, halve, until)

    def _give_up(self, waiting: Waiting, error: Exception) -> None:
        if isinstance(error, RowExists):
            self._metrics.commands.labels(_name(waiting.item), "exists").inc()
            _fail([waiting], error)
            return
        about = {"order_id": waiting.item.subject, **traced(waiting.item.traceparent)}
        log.error("%s failed: %s", _name(waiting.item), error, exc_info=error.__cause__ or error, extra=about)
        self._metrics.commands.labels(_name(waiting.item), "failed").inc()
        self._activity.failed([waiting.item], error)
        known = isinstance(error, HandlerFailed | RowRejected)
        _fail([waiting], error if known else HandlerFailed(waiting.item, error))

    async def _transact(self, items: list[Item]) -> tuple[list[Answer], Changes]:
        began = monotonic()
        self._metrics.batch_size.observe(len(items))
        commands = [item.command for item in items if isinstance(item, Execute)]
        nudged = sorted({item.subject for item in items if not isinstance(item, Execute)})
        with self._metrics.transaction_seconds.time():
            async with self._store.transaction() as transaction:
                claimed = claims(items)
                fresh, working = await transaction.claim_and_load(claimed, commands, nudged)
                recorded: Mapping[str, Event] = {}
                if len(fresh) < len(commands):
                    repeated = [command for command in commands if message_id(command) not in fresh]
                    ids = {key for command in repeated for key in candidates(self._service, command)}
                    recorded = await transaction.recorded(sorted(ids)) if ids else {}
                await failpoints.pass_by("before-handler")
                answers, changes = apply_batch(
                    self._service, self._mode, items, fresh, working, recorded, self._decide_now, random.getrandbits(62)
                )
                await transaction.save(working, changes)
                await failpoints.pass_by("before-commit")
        self._activity.handled(items, answers, fresh)
        if tracing.on:
            tracing.joined(items, monotonic() - began)
        await failpoints.pass_by("after-commit")
        return answers, changes


def _halves(batch: list[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def _name(item: Item) -> str:
    return type(item.command).__name__ if isinstance(item, Execute) else type(item).__name__


def _fail(batch: Sequence[Waiting], error: Exception) -> None:
    for waiting in batch:
        waiting.answer(error)

"""A running service: dispatcher, relay, provider calls, watcher and mode, wired together, started and stopped."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sagakit.activity import Activity
from sagakit.dead_letters import DeadLetters
from sagakit.engine.batch import candidates
from sagakit.engine.dependencies import Dependencies, is_connection_error
from sagakit.engine.dispatcher import Dispatcher
from sagakit.engine.lane import Answer
from sagakit.engine.provider_calls import ProviderCaller
from sagakit.engine.relay import Relay
from sagakit.engine.watcher import Watcher
from sagakit.message import Command
from sagakit.ports import Changes, Mode, Redeliver, RowsLocked, Store, StoreUnavailable
from sagakit.provider import Provider
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.tasks import Background, Backoff
from sagakit.telemetry import Metrics
from sagakit.work import Item

log = logging.getLogger(__name__)

REDRIVE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """The result of an operator's retry: `detail` says what was done, or why it failed."""

    done: bool
    detail: str


class ServiceEngine:
    """What a mode (as its `Inlet`) and an API may ask of a service. Nothing is opened before `start`.

    Attributes:
        activity: What happens in this process, for the timeline and for operators.
        redeliver: The mode's handler of dead letters; None until the mode is connected.
        connected: Whether the mode is connected.
        on_commit: Functions that are called after each commit with what was written. They must not raise or block.
    """

    def __init__(
        self,
        service: Service,
        store: Store,
        mode: Mode,
        provider: Provider,
        dead_letters: DeadLetters,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.service, self.mode, self.settings, self.metrics = service, mode, settings, metrics
        self._dead_letters = dead_letters
        self.redeliver: Redeliver | None = None
        self.connected = False
        self.on_commit: list[Callable[[Changes], None]] = []
        self._stopping = False
        self.activity = Activity(service.phases, metrics)
        self.watcher = Watcher(store)
        self.dispatcher = Dispatcher(
            service,
            store,
            mode,
            provider.decide_now,
            self._committed,
            metrics,
            settings.batch_max,
            patience=settings.door_timeout,
            activity=self.activity,
        )
        self._backoff = backoff = Backoff(settings.retry_initial, settings.retry_max)
        self._relay = Relay(
            store,
            mode,
            metrics,
            batch=settings.batch_max,
            poll=settings.outbox_poll,
            lease=settings.outbox_lease,
            backoff=backoff,
            activity=self.activity,
        )
        self._caller: ProviderCaller | None = None
        if service.provider is not None:
            self._caller = ProviderCaller(
                service.provider,
                store,
                provider,
                self.dispatcher,
                metrics,
                concurrency=settings.provider_concurrency,
                poll=settings.outbox_poll,
                lease=settings.outbox_lease,
                backoff=backoff,
                activity=self.activity,
            )
        self.dependencies = Dependencies(metrics)
        self._door = Background(metrics, excused=self._excused)
        self._background = Background(metrics, backoff, excused=self._excused)

    @property
    def background(self) -> Background:
        """For what a service runs beside the engine, such as the order service's sweeper."""
        return self._background

    def ailing(self) -> dict[str, str]:
        """The tasks that have failed and not recovered, each with the type of its last error."""
        return self._door.ailing() | self._background.ailing()

    def beyond_bound(self) -> dict[str, str]:
        """The tasks that keep failing through their own fault: the service cannot do its work."""
        return self._door.beyond_bound() | self._background.beyond_bound()

    def _excused(self, error: BaseException) -> bool:
        """An unavailable store or dependency is reported by itself; it is not the fault of the task that needs it."""
        return isinstance(error, StoreUnavailable | RowsLocked) or bool(
            self.dependencies.away() and is_connection_error(error)
        )

    async def start(self) -> None:
        """Start all loops and return; the mode is connected in the background, however long its broker takes."""
        self._door.start("dispatcher", self.dispatcher.run)
        self._background.start("dependencies", self.dependencies.run)
        self._background.start("watcher", self.watcher.run)
        if self._caller is not None:
            self._background.start("caller", self._caller.run)
        self._background.start("connect", self._connect)

    async def _connect(self) -> None:
        self.redeliver = await self.mode.start(self)
        self.connected = True
        self._background.start("relay", self._relay.run)
        self._background.start("mode", self.mode.run)

    async def stop(self) -> None:
        """Stop receiving, finish the messages in hand, then stop the dispatcher."""
        self._stopping = True
        await self._background.stop()
        await self.mode.close()
        await self._door.stop()

    async def do(self, command: Command, cause: str | None = None, traceparent: str | None = None) -> Answer:
        """Execute one command; see `Dispatcher.do`."""
        return await self.dispatcher.do(command, cause, traceparent)

    async def conclude(
        self, command: Command, cause: str | None, seconds: float, traceparent: str | None = None
    ) -> Answer:
        """Execute `command` and wait for its public answer: at once, or when the provider has answered.

        None if there was none within `seconds`: send it again.
        """
        event = await self.dispatcher.do(command, cause, traceparent)
        if event is not None and not isinstance(event, self.service.private):
            return event
        return await self.watcher.wait(candidates(self.service, command), seconds)

    async def do_until_stored(self, items: Sequence[Item]) -> list[Answer | BaseException]:
        """Handle all items, and retry while the store is unavailable. Failures of handlers are returned.

        StoreUnavailable is returned only when the engine is stopping: such an item must not be acknowledged.
        """
        answers: list[Answer | BaseException] = await self.dispatcher.do_all(items)
        failures = 0
        while True:
            unstored = [index for index, answer in enumerate(answers) if isinstance(answer, StoreUnavailable)]
            if not unstored or self._stopping:
                return answers
            await asyncio.sleep(self._backoff.pause(failures))
            failures += 1
            again = await self.dispatcher.do_all([items[index] for index in unstored])
            for index, answer in zip(unstored, again, strict=True):
                answers[index] = answer

    async def redrive(self, letter_id: str, by: str | None = None, seconds: float = REDRIVE_SECONDS) -> Pushed | None:
        """Redeliver a dead letter; None if there is none of that id. It stays open unless it was handled.

        Repeating it is harmless, as with every message.
        """
        letter = await self._dead_letters.find(letter_id)
        if letter is None:
            return None
        if self.redeliver is None:
            return Pushed(False, "not connected to the broker yet")
        try:
            async with asyncio.timeout(seconds):
                refusal = await self.redeliver(letter.body)
        except TimeoutError:
            refusal = f"no answer within {seconds:g} s; it may still be handled"
        if refusal is not None:
            return Pushed(False, refusal)
        await self._dead_letters.resolve(letter_id, "redriven", by)
        return Pushed(True, "done")

    async def dead_letter(self, body: bytes, cause: str, subject: str | None = None) -> None:
        """Record a message that was given up, where `/attention` shows it; retries while the store is unavailable.

        Raises:
            StoreUnavailable: The engine is stopping: the message must not be acknowledged.
        """
        self.metrics.dead_letters.labels(self.service.name).inc()
        self.activity.dead_letter(subject, cause)
        log.error("dead letter: %s", cause)
        failures = 0
        while True:
            try:
                return await self._dead_letters.add(body, cause, subject)
            except (StoreUnavailable, RowsLocked) as error:
                if self._stopping:
                    raise StoreUnavailable(f"stopping, and the dead letter is not recorded: {error}") from error
                log.warning("a dead letter waits for its store: %s", error)
            await asyncio.sleep(self._backoff.pause(failures))
            failures += 1

    def _committed(self, changes: Changes) -> None:
        self.watcher.committed(changes)
        for told in self.on_commit:
            told(changes)
        if changes.outbox:
            rows = tuple(changes.outbox.values())
            self._relay.offer(rows)
            if self._caller is not None:
                self._caller.offer(rows)

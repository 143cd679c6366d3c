"""Messages over Pub/Sub, at least once. See the README beside this file for what happens on each failure."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError, InvalidArgument, NotFound
from google.auth.exceptions import GoogleAuthError

from sagakit.modes.delayed import MOST, Delayed
from sagakit.modes.pubsub.client import Client
from sagakit.modes.pubsub.leases import Lease, Leases
from sagakit.modes.pubsub.topology import (
    FilterChanged,
    Names,
    dead_letters_of,
    ensure,
    subscription_of,
    topic_of,
    undelivered_of,
)
from sagakit.modes.pubsub.wire import batches, letter_of, message_of
from sagakit.ports import Delivery, Failure, OutboxRow
from sagakit.settings import Settings
from sagakit.tasks import Backoff, set_within
from sagakit.topology import Topology

log = logging.getLogger(__name__)

PUBLISH: Final = 4.0  # for a whole publish; longer, and its outcome is unknown
WAIT: Final = 5.0  # for a message; then receive comes back empty
LEAVE: Final = 1.5  # for the last pulls to end by themselves: the emulator still feeds one that was cancelled
GIVE_BACK: Final = 2.0
PULLS: Final = 2  # at a time and subscription: the emulator looks every 50 ms, for each at another moment
REMEMBERED: Final = 10_000
KEEPER: Final = "keeper"
UNDELIVERED: Final = "Pub/Sub gave it up: it was delivered too often and never acknowledged"
AWAY: Final = (GoogleAPIError, GoogleAuthError, OSError)  # it heals by itself; anything else is a fault of ours

T = TypeVar("T")


class PubSubTransport:
    """`consumer` names the party; its replicas share its subscriptions. No message is taken before `receive`."""

    def __init__(self, settings: Settings, consumer: str, topology: Topology) -> None:
        self._settings, self._consumer, self._topology = settings, consumer, topology
        self._emulated = settings.pubsub_emulator_host is not None
        self._names = Names(settings.pubsub_project)
        self._undelivered = self._names.subscription(undelivered_of(topology, consumer))
        self._client = Client(settings.pubsub_emulator_host)
        self._leases = Leases(self._client)
        self._ready: deque[Lease] = deque()
        self._handed: list[Lease] = []
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._failures: dict[str, int] = {}  # handler failures by the broker's message id
        self._delayed = Delayed(settings.retry_initial, settings.retry_max)
        self._backoff = Backoff(settings.retry_initial, settings.retry_max)
        self._mending, self._mended = asyncio.Lock(), 0
        self._tasks: dict[str, asyncio.Task[None]] = {}  # the pulls, and the keeper of the leases
        self._away = self._closing = False

    async def start(self) -> None:
        """Wait for the broker as long as it takes, and make sure of all topics and subscriptions.

        Raises only what no waiting can help: a topology that Pub/Sub refuses.
        """
        failures = 0
        while True:
            try:
                await self._client.open()
                return await ensure(self._client, self._settings, self._topology)
            except (FilterChanged, InvalidArgument):
                raise
            except Exception as error:
                log.warning("Pub/Sub is not ready: %r", error)
            await asyncio.sleep(self._backoff.pause(failures))
            failures += 1

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Raises within PUBLISH seconds unless Pub/Sub has all rows."""
        by_topic: defaultdict[str, list[Any]] = defaultdict(list)
        for row in rows:
            by_topic[self._names.topic(topic_of(row.channel))].append(message_of(row))
        await self._send(by_topic)

    async def receive(self) -> Sequence[Delivery]:
        """What an earlier call returned and nobody has settled comes again when its lease ends.

        A pull or a keeper of leases that failed by a fault of its own fails this call; the next one begins another.
        """
        now = asyncio.get_running_loop().time
        self._leases.fade(self._handed)
        self._delayed.drop(self._handed)
        self._handed = []
        self._keep_on()
        await set_within(self._arrived, self._delayed.wait(now(), WAIT))
        self._check()
        batch = [self._ready.popleft() for _ in range(min(len(self._ready), self._settings.batch_max))]
        if not self._ready:
            self._arrived.clear()
        deliveries = [self._delivery(lease) for lease in batch]
        again = self._delayed.due(now())
        known = self._leases.take_up(delivery.receipt for delivery in again)
        deliveries += [delivery for delivery in again if delivery.receipt in known]
        self._handed = [delivery.receipt for delivery in deliveries]
        return deliveries

    async def settle(self, done: Sequence[Delivery], failed: Sequence[Failure]) -> None:
        """Never raises for Pub/Sub's sake: what could not be acknowledged comes again."""
        finished: list[Lease] = [delivery.receipt for delivery in done]
        exhausted, again = list[Failure](), defaultdict[float, list[Lease]](list)
        self._delay([failure.delivery for failure in failed if not failure.counts])
        for failure in (failure for failure in failed if failure.counts):
            attempt, message = failure.delivery.attempt, failure.delivery.receipt.message
            self._failures[message.message_id] = attempt
            if failure.poison or attempt >= self._settings.delivery_attempts:
                exhausted.append(failure)
            else:
                pause = self._backoff.pause(attempt - 1) if self._emulated else 0.0
                again[pause].append(failure.delivery.receipt)
        buried = await self._bury(exhausted)
        finished += buried
        again[self._settings.retry_max] += [
            one.delivery.receipt for one in exhausted if one.delivery.receipt not in buried
        ]
        for pause, resting in again.items():
            self._delayed.drop(resting)
            self._leases.rest(resting, pause)
        self._delayed.drop(finished)
        for lease in finished:
            self._failures.pop(lease.message.message_id, None)
        while len(self._failures) > REMEMBERED:
            del self._failures[next(iter(self._failures))]
        await self._leases.acknowledge(finished)
        self._make_room()

    async def close(self) -> None:
        """Nothing stays leased: what is in hand goes back, to be delivered again at once."""
        self._closing = True
        self._room.set()
        if pulls := [task for name, task in self._tasks.items() if name != KEEPER]:
            await asyncio.wait(pulls, timeout=LEAVE)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._delayed.clear()
        try:
            async with asyncio.timeout(GIVE_BACK):
                await self._leases.close()
        except TimeoutError:
            log.info("Pub/Sub does not answer: what was in hand comes again when its lease ends")
        await self._client.close()

    async def probe(self) -> None:
        await self._client.probe(self._names.topic(dead_letters_of(self._topology, self._consumer)))

    async def _send(self, by_topic: dict[str, list[Any]]) -> None:
        async with asyncio.timeout(PUBLISH):
            sent = (self._send_to(topic, messages) for topic, messages in by_topic.items())
            for outcome in await asyncio.gather(*sent, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _send_to(self, topic: str, messages: list[Any]) -> None:
        for batch in batches(messages):
            await self._healing(partial(self._client.publish, topic, batch))

    async def _bury(self, failures: Sequence[Failure]) -> list[Lease]:
        """Those that Pub/Sub has as dead letters now, each with its cause. One that it refuses hinders no other."""
        if not failures:
            return []
        try:
            topic = dead_letters_of(self._topology, self._consumer)
            await self._send({self._names.topic(topic): [letter_of(failure) for failure in failures]})
            return [failure.delivery.receipt for failure in failures]
        except InvalidArgument as error:
            if len(failures) > 1:
                return [lease for failure in failures for lease in await self._bury([failure])]
            log.error("a dead letter is refused, and tried again: %r", error)
        except Exception as error:
            log.error("%d dead letters are tried again: %r", len(failures), error)
        return []

    def _keep_on(self) -> None:
        """Begin the tasks that are not running."""
        self._make_room()
        own = {self._names.subscription(subscription_of(one)): one.types for one in self._topology.of(self._consumer)}
        limit = max(1, self._settings.batch_max // max(1, len(own) * PULLS))
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {KEEPER: self._leases.keep}
        for name, wanted in own.items():
            for number in range(PULLS):
                works[f"{name} {number}"] = partial(self._pull, name, wanted, limit)
        if own:
            works[self._undelivered] = partial(self._pull, self._undelivered, None, limit)
        for name, work in works.items():
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(work(), name=name)
                self._tasks[name].add_done_callback(lambda _: self._arrived.set())

    def _check(self) -> None:
        """Raise what ended a task, once for each."""
        for name, task in list(self._tasks.items()):
            if task.done() and not self._closing:
                del self._tasks[name]
                if task.cancelled():  # as calls are when their channel is gone; that is not the end of this consumer
                    raise RuntimeError(f"{name} was cancelled")
                task.result()

    def _delay(self, deliveries: Sequence[Delivery]) -> None:
        now = asyncio.get_running_loop().time()
        known = self._leases.set_aside(delivery.receipt for delivery in deliveries)
        self._handed = [lease for lease in self._handed if lease not in known]
        for delivery in deliveries:
            if delivery.receipt in known:
                self._delayed.keep(delivery.receipt, delivery, now)

    async def _pull(self, name: str, types: frozenset[str] | None, limit: int) -> None:
        failures = 0
        while True:
            await self._room.wait()
            if self._closing:
                return
            try:
                received = await self._healing(partial(self._client.pull, name, limit))
                await self._take(name, types, received)
                failures = 0
                self._away = False
            except DeadlineExceeded:
                continue
            except AWAY as error:
                self._lost(error)
                await asyncio.sleep(self._backoff.pause(failures))
                failures += 1

    async def _take(self, name: str, types: frozenset[str] | None, received: Iterable[Any]) -> None:
        """Into the buffer; but acknowledged, if the filter should have held it back. `types` None: all are wanted."""
        leases = [Lease(name, one.ack_id, one.message) for one in received]
        self._leases.hold(leases)
        wanted = [one for one in leases if types is None or one.message.attributes.get("type") in {None, *types}]
        if wanted:
            self._ready.extend(wanted)
            self._arrived.set()
        self._make_room()
        if len(wanted) < len(leases):
            await self._leases.acknowledge(set(leases).difference(wanted))

    def _delivery(self, lease: Lease) -> Delivery:
        broken = UNDELIVERED if lease.subscription == self._undelivered else None
        return Delivery(lease.message.data, lease, self._failures.get(lease.message.message_id, 0) + 1, broken)

    def _make_room(self) -> None:
        most = self._settings.batch_max
        if len(self._leases) < most and len(self._delayed) < MOST * most:
            self._room.set()
        else:
            self._room.clear()

    async def _healing(self, call: Callable[[], Awaitable[T]]) -> T:
        """A topic or subscription that is missing is made again, with all others, by one caller for all."""
        mended = self._mended
        try:
            return await call()
        except NotFound:
            async with self._mending:
                if mended == self._mended:
                    log.warning("Pub/Sub has lost topics or subscriptions: making them again")
                    await ensure(self._client, self._settings, self._topology)
                    self._mended += 1
            return await call()

    def _lost(self, error: Exception) -> None:
        """An emulator that went away comes back with nothing, and numbers its messages from one again."""
        if self._away:
            return
        self._away = True
        log.warning("Pub/Sub is away: %r", error)
        if self._emulated:
            self._leases.forget()
            self._delayed.clear()
            self._ready.clear()
            self._arrived.clear()
            self._failures.clear()
            self._make_room()

"""Messages over Pub/Sub, at least once. See the README beside this file for what happens on each failure."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError, InvalidArgument
from google.auth.exceptions import GoogleAuthError

from sagakit.modes.connecting import until_ready
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
from sagakit.modes.pubsub.wire import letter_of, message_of
from sagakit.ports import DeadDelivery, Delivery, OutboxRow, Retry
from sagakit.settings import Settings
from sagakit.tasks import Backoff, set_within
from sagakit.topology import Topology

log = logging.getLogger(__name__)

WAIT: Final = 5.0  # seconds of waiting for a message; then `receive` returns none
LEAVE: Final = 1.5  # seconds for the last pulls to end by themselves: the emulator still feeds one that was cancelled
GIVE_BACK: Final = 2.0  # seconds
PULLS: Final = 2  # at a time for each subscription: the emulator looks every 50 ms, for each at another moment
REMEMBERED: Final = 10_000  # messages whose failures are counted
KEEPER: Final = "keeper"
UNDELIVERED: Final = "Pub/Sub gave it up: it was delivered too often and never acknowledged"
OUTAGE: Final = (GoogleAPIError, GoogleAuthError, OSError)  # these end by themselves; any other error is a bug of ours


class PubSubTransport:
    """One service's end of Pub/Sub. `consumer` names the service; its replicas share its subscriptions."""

    def __init__(self, settings: Settings, consumer: str, topology: Topology) -> None:
        self._settings, self._emulated = settings, settings.pubsub_emulator_host is not None
        self._names = names = Names(settings.pubsub_project)
        self._dead_letters = names.topic(dead_letters_of(topology, consumer))
        self._undelivered = names.subscription(undelivered_of(topology, consumer))
        self._types = {names.subscription(subscription_of(one)): one.types for one in topology.of(consumer)}
        self._client = Client(settings.pubsub_emulator_host, lambda client: ensure(client, settings, topology))
        self._leases = Leases(self._client)
        self._ready: deque[Lease] = deque()  # pulled, not yet received
        self._received: list[Lease] = []  # returned by the last `receive`, and not settled
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._failures: dict[str, int] = {}  # attempts that counted, by Pub/Sub's message id
        self._delayed = Delayed(settings.retry_initial, settings.retry_max)
        self._backoff = Backoff(settings.retry_initial, settings.retry_max)
        self._tasks: dict[str, asyncio.Task[None]] = {}  # the pulls, and the keeper of the leases
        self._away = self._closing = False

    async def start(self) -> None:
        """Wait for Pub/Sub as long as it takes, and create all topics and subscriptions that are missing.

        Raises:
            FilterChanged: A subscription has another filter.
            InvalidArgument: Pub/Sub refuses the topology. No waiting can help here.
        """
        await until_ready("Pub/Sub", self._client.open, self._settings, fatal=(FilterChanged, InvalidArgument))

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """As Transport.publish, within seconds."""
        messages: defaultdict[str, list[Any]] = defaultdict(list)
        for row in rows:
            messages[self._names.topic(topic_of(row.channel))].append(message_of(row))
        await self._client.publish_all(messages)

    async def receive(self) -> Sequence[Delivery]:
        """As Transport.receive. What an earlier call returned and nobody has settled comes again when its lease ends.

        The error of a pull, or of the keeper of leases, that is a bug of ours is raised; the next call starts another.
        """
        now = asyncio.get_running_loop().time
        self._leases.expire(self._received)
        self._delayed.drop(self._received)
        self._received = []
        self._start_tasks()
        await set_within(self._arrived, self._delayed.wait(now(), WAIT))
        self._raise_failed()
        size = min(len(self._ready), self._settings.batch_max)
        deliveries = [self._delivery(self._ready.popleft()) for _ in range(size)]
        if not self._ready:
            self._arrived.clear()
        due = self._delayed.due(now())
        resumed = self._leases.resume(delivery.receipt for delivery in due)
        deliveries += [delivery for delivery in due if delivery.receipt in resumed]
        self._received = [delivery.receipt for delivery in deliveries]
        return deliveries

    async def settle(self, done: Sequence[Delivery], retry: Sequence[Retry], dead: Sequence[DeadDelivery]) -> None:
        """As Transport.settle, and never raises for an outage: what could not be acknowledged comes again."""
        self._delay([one.delivery for one in retry if not one.counts])
        pauses = defaultdict[float, list[Lease]](list)
        for delivery in (one.delivery for one in retry if one.counts):
            self._failures[delivery.receipt.message.message_id] = delivery.attempt
            pauses[self._backoff.pause(delivery.attempt - 1) if self._emulated else 0.0].append(delivery.receipt)
        sent = await self._send_dead_letters(dead)
        if unsent := [letter.delivery.receipt for letter in dead if letter.delivery.receipt not in sent]:
            pauses[self._settings.retry_max] += unsent
        for pause, leases in pauses.items():
            self._delayed.drop(leases)
            self._leases.give_back_after(leases, pause)
        finished = [*(delivery.receipt for delivery in done), *sent]
        self._delayed.drop(finished)
        for lease in finished:
            self._failures.pop(lease.message.message_id, None)
        while len(self._failures) > REMEMBERED:
            del self._failures[next(iter(self._failures))]
        await self._leases.acknowledge(finished)
        self._make_room()

    async def close(self) -> None:
        """Give back all leases, so that their messages are delivered again at once, and disconnect."""
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
        """Raise unless Pub/Sub answers."""
        await self._client.probe(self._dead_letters)

    async def _send_dead_letters(self, dead: Sequence[DeadDelivery]) -> list[Lease]:
        """The leases whose dead letters Pub/Sub has now. One that it refuses holds up no other."""
        if not dead:
            return []
        try:
            await self._client.publish_all({self._dead_letters: [letter_of(letter) for letter in dead]})
            return [letter.delivery.receipt for letter in dead]
        except InvalidArgument as error:
            if len(dead) > 1:
                return [lease for letter in dead for lease in await self._send_dead_letters([letter])]
            log.error("Pub/Sub refused a dead letter, its message comes again: %r", error)
        except Exception as error:
            log.error("%d dead letters could not be sent, their messages come again: %r", len(dead), error)
        return []

    def _start_tasks(self) -> None:
        """Start the tasks that are not running."""
        self._make_room()
        limit = max(1, self._settings.batch_max // max(1, len(self._types) * PULLS))
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {KEEPER: self._leases.keep}
        for name, types in self._types.items():
            works |= {f"{name} {number}": partial(self._pull, name, types, limit) for number in range(PULLS)}
        if self._types:
            works[self._undelivered] = partial(self._pull, self._undelivered, None, limit)
        for name, work in works.items():
            if name not in self._tasks:
                self._tasks[name] = asyncio.create_task(work(), name=name)
                self._tasks[name].add_done_callback(lambda _: self._arrived.set())

    def _raise_failed(self) -> None:
        for name, task in list(self._tasks.items()):
            if task.done() and not self._closing:
                del self._tasks[name]
                if task.cancelled():  # as a call is when its channel is gone; that must not end this consumer
                    raise RuntimeError(f"{name} was cancelled")
                task.result()

    def _delay(self, deliveries: Sequence[Delivery]) -> None:
        now = asyncio.get_running_loop().time()
        ours = self._leases.set_aside(delivery.receipt for delivery in deliveries)
        self._received = [lease for lease in self._received if lease not in ours]
        for delivery in deliveries:
            if delivery.receipt in ours:
                self._delayed.keep(delivery.receipt, delivery, now)

    async def _pull(self, name: str, types: frozenset[str] | None, limit: int) -> None:
        failures = 0
        while True:
            await self._room.wait()
            if self._closing:
                return
            try:
                await self._take(name, types, await self._client.pull(name, limit))
                failures = 0
                self._away = False
            except DeadlineExceeded:
                continue
            except OUTAGE as error:
                self._lost(error)
                await asyncio.sleep(self._backoff.pause(failures))
                failures += 1

    async def _take(self, name: str, types: frozenset[str] | None, received: Iterable[Any]) -> None:
        """Put messages of these types (None: of all) into the buffer; acknowledge others, which no filter held back."""
        leases = [Lease(name, one.ack_id, one.message) for one in received]
        self._leases.hold(leases)
        ours = [one for one in leases if types is None or one.message.attributes.get("type") in {None, *types}]
        if ours:
            self._ready.extend(ours)
            self._arrived.set()
        self._make_room()
        if len(ours) < len(leases):
            await self._leases.acknowledge(set(leases).difference(ours))

    def _delivery(self, lease: Lease) -> Delivery:
        broken = UNDELIVERED if lease.subscription == self._undelivered else None
        return Delivery(lease.message.data, lease, self._failures.get(lease.message.message_id, 0) + 1, broken)

    def _make_room(self) -> None:
        most = self._settings.batch_max
        if len(self._leases) < most and len(self._delayed) < MOST * most:
            self._room.set()
        else:
            self._room.clear()

    def _lost(self, error: Exception) -> None:
        """At the first error of an outage: an emulator comes back with nothing, and numbers its messages anew."""
        if self._away:
            return
        self._away = True
        log.warning("Pub/Sub is unavailable: %r", error)
        if self._emulated:
            self._leases.forget()
            self._delayed.clear()
            self._ready.clear()
            self._arrived.clear()
            self._failures.clear()
            self._make_room()

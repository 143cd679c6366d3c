"""Messages over Pub/Sub, at least once. See the README beside this file for what happens on each failure."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from google.api_core.exceptions import DeadlineExceeded, InvalidArgument, NotFound

from sagakit.modes.pubsub.client import Client
from sagakit.modes.pubsub.leases import Lease, Leases
from sagakit.modes.pubsub.topology import (
    FilterChanged,
    Names,
    dead_letters_of,
    ensure,
    subscription_of,
    topic_of,
)
from sagakit.modes.pubsub.wire import batches, letter_of, message_of
from sagakit.ports import Delivery, Failure, Outgoing
from sagakit.settings import Settings
from sagakit.topology import Subscription, Topology

log = logging.getLogger(__name__)

PUBLISH: Final = 4.0  # for a whole publish; longer, and its outcome is unknown
WAIT: Final = 5.0  # for a message; then receive comes back empty
LEAVE: Final = 1.5  # for the last pulls to end by themselves: the emulator still feeds one that was cancelled
GIVE_BACK: Final = 2.0
PULLS: Final = 2  # at a time and subscription: the emulator looks every 50 ms, for each at another moment
REMEMBERED: Final = 10_000

T = TypeVar("T")


class PubSubTransport:
    """`consumer` names the party; its replicas share its subscriptions. No message is taken before `receive`."""

    def __init__(self, settings: Settings, consumer: str, topology: Topology) -> None:
        self._settings, self._consumer, self._topology = settings, consumer, topology
        self._emulated = settings.pubsub_emulator_host is not None
        self._names = Names(settings.pubsub_project)
        self._client = Client(settings.pubsub_emulator_host)
        self._leases = Leases(self._client)
        self._ready: deque[Lease] = deque()
        self._handed: list[Lease] = []
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._failures: dict[str, int] = {}  # handler failures by the broker's message id
        self._mending, self._mended = asyncio.Lock(), 0
        self._pulls: list[asyncio.Task[None]] = []
        self._keeper: list[asyncio.Task[None]] = []
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
            failures += 1
            await asyncio.sleep(self._backoff(failures))

    async def publish(self, rows: Sequence[Outgoing]) -> None:
        """Raises within PUBLISH seconds unless Pub/Sub has all rows."""
        by_topic: defaultdict[str, list[Any]] = defaultdict(list)
        for row in rows:
            by_topic[self._names.topic(topic_of(row.channel))].append(message_of(row))
        await self._send(by_topic)

    async def receive(self) -> Sequence[Delivery]:
        """What an earlier call returned and nobody has settled comes again when its lease ends."""
        self._leases.fade(self._handed)
        self._handed = []
        if not self._pulls:
            self._listen()
        try:
            async with asyncio.timeout(WAIT):
                await self._arrived.wait()
        except TimeoutError:
            return []
        batch = [self._ready.popleft() for _ in range(min(len(self._ready), self._settings.batch_max))]
        if not self._ready:
            self._arrived.clear()
        self._handed = batch
        return [Delivery(one.message.data, one, self._failures.get(one.message.message_id, 0) + 1) for one in batch]

    async def settle(self, done: Sequence[Delivery], failed: Sequence[Failure]) -> None:
        """Never raises for Pub/Sub's sake: what could not be acknowledged comes again."""
        finished: list[Lease] = [delivery.receipt for delivery in done]
        hopeless, again = list[Failure](), defaultdict[float, list[Lease]](list)
        for failure in failed:
            attempt, message = failure.delivery.attempt, failure.delivery.receipt.message
            self._failures[message.message_id] = attempt
            if failure.poison or attempt >= self._settings.delivery_attempts:
                hopeless.append(failure)
            else:
                pause = self._backoff(attempt) if self._emulated else 0.0
                again[pause].append(failure.delivery.receipt)
        leases = [failure.delivery.receipt for failure in hopeless]
        if await self._bury(hopeless):
            finished += leases
        else:
            again[self._settings.retry_max] += leases
        for pause, resting in again.items():
            self._leases.rest(resting, pause)
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
        if self._pulls:
            await asyncio.wait(self._pulls, timeout=LEAVE)
        for task in (tasks := [*self._pulls, *self._keeper]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(GIVE_BACK):
                await self._leases.close()
        except TimeoutError:
            log.info("Pub/Sub does not answer: what was in hand comes again when its lease ends")
        await self._client.close()

    async def probe(self) -> None:
        await self._client.probe(self._names.topic(dead_letters_of(self._topology, self._consumer)))

    # --- publishing ----------------------------------------------------------------------------------

    async def _send(self, by_topic: dict[str, list[Any]]) -> None:
        async with asyncio.timeout(PUBLISH):
            sent = (self._send_to(topic, messages) for topic, messages in by_topic.items())
            for outcome in await asyncio.gather(*sent, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _send_to(self, topic: str, messages: list[Any]) -> None:
        for batch in batches(messages):
            await self._healing(partial(self._client.publish, topic, batch))

    async def _bury(self, failures: Sequence[Failure]) -> bool:
        """Whether Pub/Sub has them as dead letters, each with its cause."""
        letters = [letter_of(failure) for failure in failures]
        try:
            if letters:
                topic = dead_letters_of(self._topology, self._consumer)
                await self._send({self._names.topic(topic): letters})
            return True
        except Exception as error:
            log.error("%d dead letters are tried again: %r", len(letters), error)
            return False

    # --- receiving -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._make_room()
        self._keeper = [asyncio.create_task(self._leases.keep())]
        own = self._topology.of(self._consumer)
        limit = max(1, self._settings.batch_max // max(1, len(own) * PULLS))
        self._pulls = [asyncio.create_task(self._pull(one, limit)) for one in own for _ in range(PULLS)]

    async def _pull(self, subscription: Subscription, limit: int) -> None:
        name, failures = self._names.subscription(subscription_of(subscription)), 0
        while True:
            await self._room.wait()
            if self._closing:
                return
            try:
                received = await self._healing(partial(self._client.pull, name, limit))
                await self._take(name, subscription, received)
                failures = 0
                self._away = False
            except DeadlineExceeded:
                continue
            except Exception as error:
                self._lost(error)
                failures += 1
                await asyncio.sleep(self._backoff(failures))

    async def _take(self, name: str, subscription: Subscription, received: Iterable[Any]) -> None:
        """Into the buffer; but acknowledged, if the filter should have held it back."""
        leases = [Lease(name, one.ack_id, one.message) for one in received]
        self._leases.hold(leases)
        wanted = [one for one in leases if one.message.attributes.get("type", None) in {None, *subscription.types}]
        if wanted:
            self._ready.extend(wanted)
            self._arrived.set()
        self._make_room()
        if len(wanted) < len(leases):
            await self._leases.acknowledge(set(leases).difference(wanted))

    def _make_room(self) -> None:
        if len(self._leases) < self._settings.batch_max:
            self._room.set()
        else:
            self._room.clear()

    # --- healing -------------------------------------------------------------------------------------

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
            self._ready.clear()
            self._arrived.clear()
            self._failures.clear()
            self._make_room()

    def _backoff(self, failures: int) -> float:
        return min(self._settings.retry_initial * 2.0 ** min(failures - 1, 30), self._settings.retry_max)

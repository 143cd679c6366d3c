"""Messages over Apache Kafka, at least once. See the README beside this file for what happens on each failure."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from sagakit.modes.delayed import MOST
from sagakit.modes.kafka.clients import REQUEST_MS, Listener, new_consumer, new_producer, stop
from sagakit.modes.kafka.letters import letter_of
from sagakit.modes.kafka.probe import ask_any
from sagakit.modes.kafka.progress import Progress
from sagakit.modes.kafka.reading import Reader
from sagakit.modes.kafka.topology import dead_letters_of, ensure, topic_of, topics
from sagakit.ports import Delivery, Failure, OutboxRow
from sagakit.settings import Settings
from sagakit.tasks import Backoff
from sagakit.topology import Topology

log = logging.getLogger(__name__)

POLL: Final = 0.5  # a wait for messages; it ends at once when there are any
PUBLISH: Final = 4.0  # longer, and the outcome of a publish is unknown; below the lease of an outbox row
COMMIT: Final = 2.0
CONNECT: Final = 5.0
JOIN: Final = 20.0  # to become a member of the group, while others finish what they have in hand
CLOSE: Final = 5.0

Message = tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]  # topic, key, body, headers


class KafkaTransport:
    """`consumer` names the party; its replicas share the consumer group `group`."""

    def __init__(self, settings: Settings, consumer: str, topology: Topology, *, group: str) -> None:
        self._bootstrap, self._session = settings.kafka_bootstrap, settings.kafka_session_timeout
        self._batch, self._attempts = settings.batch_max, settings.delivery_attempts
        self._pauses = settings.retry_initial, settings.retry_max
        self._topics = topics(topology, settings.kafka_partitions)
        self._types = {topic_of(one.channel): {t.encode() for t in one.types} for one in topology.of(consumer)}
        self._dead_letters, self._group = dead_letters_of(consumer), group
        self._progress, self._sending = Progress(), asyncio.Lock()
        self._reader = Reader(self._progress, self._types, self._batch)
        self._ensured = False
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._listener: Listener | None = None
        self._committing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Wait for the broker as long as it takes, and make sure of all topics."""
        failures, self._ensured = 0, False
        while True:
            try:
                async with asyncio.timeout(CONNECT):
                    await self._ensure()
                    return
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("Kafka is not ready: %r", error)
            await asyncio.sleep(self._backoff(failures := failures + 1))

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Raises within PUBLISH seconds unless the broker has acknowledged all rows. One publish at a time."""
        await self._send(
            [
                (
                    topic_of(row.channel),
                    row.key.encode(),
                    row.body,
                    [("type", row.type.encode()), ("id", row.id.encode())],
                )
                for row in rows
            ]
        )

    async def receive(self) -> Sequence[Delivery]:
        """A batch of this party's types. What was handed out before and not settled since comes again."""
        progress, now = self._progress, asyncio.get_running_loop().time
        progress.reclaim()
        try:
            consumer = await self._joined()
            if len(progress) < MOST * self._batch:
                consumer.resume(*consumer.paused())
            else:
                consumer.pause(*consumer.assignment())
            pause = progress.pause(now(), POLL)
            async with asyncio.timeout(pause + JOIN):
                deliveries = await self._reader.read(consumer, pause)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("the consumer is opened anew: %r", error)
            self._drop_consumer()
            await asyncio.sleep(self._backoff(1))
            return []
        except Exception:  # a fault of ours, for whoever keeps this going to tell of
            self._drop_consumer()
            raise
        deliveries += progress.hand_out(progress.due(now()))
        if not deliveries:
            await self._commit()
            if any(consumer.partitions_for_topic(topic) is None for topic in self._types):
                await self._remake_topics()
        return deliveries

    async def settle(self, done: Sequence[Delivery], failed: Sequence[Failure]) -> None:
        """Never raises: what cannot be committed or given up now stays open, and comes again.

        The commit goes on while the next batch is received; `close` and a revocation wait for it.
        """
        progress, now = self._progress, asyncio.get_running_loop().time()
        for delivery in done:
            progress.finish(delivery)
        exhausted = [f for f in failed if f.counts and (f.poison or f.delivery.attempt >= self._attempts)]
        for failure in await self._bury(exhausted):
            progress.finish(failure.delivery)
        for failure in failed:
            delivery = failure.delivery
            again = failure.counts and failure not in exhausted
            pause = self._backoff(delivery.attempt if again else delivery.receipt.kept + 1)
            progress.repeat(delivery, now + pause, failed=again)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.ensure_future(self._commit())

    async def close(self) -> None:
        """Commit, leave the group, and close all connections, within CLOSE seconds or so."""
        await self._commit()  # behind the one under way
        self._drop_consumer()
        self._drop_producer()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=CLOSE)

    async def probe(self) -> None:
        """Raises unless one of the bootstrap servers answers, on a connection of its own."""
        await ask_any(self._bootstrap)

    async def revoked(self) -> None:
        """Partitions are taken away: what is in hand may be finished and committed, within half a session."""
        try:
            async with asyncio.timeout(self._session / 2):
                await self._progress.idle.wait()
        except TimeoutError:
            log.info("partitions are taken away with deliveries in hand, which will come again")
        finally:
            await self._commit()
            self._progress.forget()

    async def _commit(self) -> None:
        owed = self._progress.owed()
        if not owed or self._consumer is None:
            return
        try:
            async with asyncio.timeout(COMMIT):
                await self._consumer.commit(owed)
        except Exception as error:
            log.info("offsets are committed later: %r", error)
        else:
            self._progress.committed(owed)

    async def _bury(self, failures: Sequence[Failure]) -> Sequence[Failure]:
        """Those that are dead letters now. One that is refused hinders no other."""
        try:
            if failures:
                await self._send([(self._dead_letters, *letter_of(failure)) for failure in failures])
            return failures
        except MessageSizeTooLargeError as error:
            if len(failures) > 1:
                return [one for failure in failures for one in await self._bury([failure])]
            log.error("a dead letter is refused, and comes again: %r", error)
        except Exception as error:
            log.warning("%d dead letters could not be written, and come again: %r", len(failures), error)
        return []

    async def _send(self, messages: Sequence[Message]) -> None:
        try:
            async with asyncio.timeout(PUBLISH), self._sending:
                producer = await self._connected()
                await asyncio.gather(
                    *[await producer.send(topic, body, key, headers=headers) for topic, key, body, headers in messages]
                )
        except BaseException:  # whatever it was, another producer and another look at the topics is what heals
            self._ensured = False
            self._drop_producer()
            raise

    async def _connected(self) -> AIOKafkaProducer:
        if not self._ensured:
            await self._ensure()
        if self._producer is None:
            self._producer = new_producer(self._bootstrap)
            await self._producer.start()
        return self._producer

    async def _joined(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            self._progress.forget()
            async with asyncio.timeout(JOIN):
                await self._ensure()
                self._listener = Listener(self.revoked)
                self._consumer = new_consumer(self._bootstrap, self._group, self._session)
                self._consumer.subscribe(list(self._types), listener=self._listener)
                await self._consumer.start()
        return self._consumer

    async def _ensure(self) -> None:
        if not self._ensured:
            await ensure(self._bootstrap, self._topics, REQUEST_MS)
            self._ensured = True

    async def _remake_topics(self) -> None:
        self._ensured = False
        try:
            async with asyncio.timeout(CONNECT):
                await self._ensure()
        except Exception as error:
            log.warning("topics are missing, and could not be made: %r", error)

    def _drop_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if self._listener is not None:
            self._listener.revoked = None
        self._progress.forget()
        self._leave(consumer)

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        self._leave(producer)

    def _leave(self, client: Any) -> None:
        """Stop it in the background: that may hang while the broker is away."""
        if client is not None:
            task = asyncio.ensure_future(stop(client, CLOSE))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _backoff(self, failures: int) -> float:
        return Backoff(*self._pauses).pause(failures - 1)

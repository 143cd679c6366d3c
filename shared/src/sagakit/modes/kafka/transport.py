"""Messages over Apache Kafka, at least once. See the README beside this file for what happens on each failure."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from sagakit.modes.connecting import until_ready
from sagakit.modes.delayed import MOST
from sagakit.modes.kafka.clients import REQUEST_MS, Listener, new_consumer, new_producer, stop
from sagakit.modes.kafka.letters import letter_of
from sagakit.modes.kafka.probe import ask_any
from sagakit.modes.kafka.progress import Progress
from sagakit.modes.kafka.reading import Reader
from sagakit.modes.kafka.topology import dead_letters_of, ensure, group_of, topic_of, topics
from sagakit.ports import DeadDelivery, Delivery, OutboxRow, Retry
from sagakit.settings import Settings
from sagakit.tasks import Backoff
from sagakit.topology import Topology

log = logging.getLogger(__name__)

POLL: Final = 0.5  # seconds of waiting for messages; the wait ends at once when there are any
PUBLISH: Final = 4.0  # after it the outcome of a publish is unknown; below the lease of an outbox row
COMMIT: Final = 2.0
TOGETHER: Final = 0.1  # seconds after which what was settled is committed, with what is settled meanwhile
CONNECT: Final = 5.0
JOIN: Final = 20.0  # to become a member of the group, while other members finish what they have in hand
CLOSE: Final = 5.0

Message = tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]  # topic, key, body, headers


class KafkaTransport:
    """One service's end of Kafka. `consumer` names the service; its replicas share one consumer group."""

    def __init__(self, settings: Settings, consumer: str, topology: Topology) -> None:
        self._settings = settings
        self._bootstrap, self._session = settings.kafka_bootstrap, settings.kafka_session_timeout
        self._batch = settings.batch_max
        self._backoff = Backoff(settings.retry_initial, settings.retry_max)
        self._topics = topics(topology, settings.kafka_partitions)
        self._types = {topic_of(one.channel): {t.encode() for t in one.types} for one in topology.of(consumer)}
        self._dead_letters, self.group = dead_letters_of(consumer), group_of(consumer, topology.style)
        self._progress, self._sending = Progress(), asyncio.Lock()
        self._reader = Reader(self._progress, self._types, self._batch)
        self._ensured, self._stopping = False, set[asyncio.Task[None]]()
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._listener: Listener | None = None
        self._committing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait for the broker as long as it takes, and create all topics that are missing."""
        self._ensured = False
        await until_ready("Kafka", self._ensure_in_time, self._settings, (KafkaError, OSError, TimeoutError))

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Raise within PUBLISH seconds unless the broker has acknowledged all rows. One publish at a time."""
        await self._send([_message_of(row) for row in rows])

    async def receive(self) -> Sequence[Delivery]:
        """As Transport.receive. What an earlier call returned and nobody has settled comes again."""
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
            await asyncio.sleep(self._backoff.pause(0))
            return []
        except Exception:  # a bug of ours: the caller reports it and calls again
            self._drop_consumer()
            raise
        deliveries += progress.hand_out(progress.due(now()))
        if not deliveries:
            await self._commit()
            if any(consumer.partitions_for_topic(topic) is None for topic in self._types):
                await self._create_missing_topics()
        return deliveries

    async def settle(self, done: Sequence[Delivery], retry: Sequence[Retry], dead: Sequence[DeadDelivery]) -> None:
        """As Transport.settle, and never raises: a record whose offset is not committed stays open and comes again.

        Its offset is committed TOGETHER seconds later; `close` and a revocation commit at once.
        """
        progress, now = self._progress, asyncio.get_running_loop().time()
        for delivery in (*done, *await self._send_dead_letters(dead)):
            progress.finish(delivery)
        unsent = [Retry(letter.delivery, counts=False) for letter in dead]  # no-ops for those that are finished
        for one in (*retry, *unsent):
            failures = one.delivery.attempt - 1 if one.counts else one.delivery.receipt.kept
            progress.retry(one.delivery, now + self._backoff.pause(failures), counts=one.counts)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.ensure_future(self._commit(TOGETHER))

    async def close(self) -> None:
        """Commit, leave the group, and close all connections, within about CLOSE seconds."""
        if self._committing is not None:
            self._committing.cancel()
        await self._commit()
        self._drop_consumer()
        self._drop_producer()
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=CLOSE)

    async def probe(self) -> None:
        """Raise unless one of the bootstrap servers answers, on a connection of its own."""
        await ask_any(self._bootstrap)

    async def revoked(self) -> None:
        """Before partitions go to others: let what is in hand be finished and committed, within half a session."""
        try:
            async with asyncio.timeout(self._session / 2):
                await self._progress.idle.wait()
        except TimeoutError:
            log.info("partitions are revoked with deliveries in hand, which will come again")
        finally:
            await self._commit()
            self._progress.forget()

    async def _commit(self, pause: float = 0.0) -> None:
        await asyncio.sleep(pause)
        offsets = self._progress.to_commit()
        if not offsets or self._consumer is None:
            return
        try:
            async with asyncio.timeout(COMMIT):
                await self._consumer.commit(offsets)
        except Exception as error:
            log.info("offsets could not be committed, they are committed later: %r", error)
        else:
            self._progress.committed(offsets)

    async def _send_dead_letters(self, dead: Sequence[DeadDelivery]) -> Sequence[Delivery]:
        """The deliveries whose dead letters the broker has now. One that is refused holds up no other."""
        try:
            if dead:
                await self._send([(self._dead_letters, *letter_of(letter)) for letter in dead])
            return [letter.delivery for letter in dead]
        except MessageSizeTooLargeError as error:
            if len(dead) > 1:
                return [delivery for letter in dead for delivery in await self._send_dead_letters([letter])]
            log.error("Kafka refused a dead letter, its message comes again: %r", error)
        except Exception as error:
            log.warning("%d dead letters could not be sent, their messages come again: %r", len(dead), error)
        return []

    async def _send(self, messages: Sequence[Message]) -> None:
        try:
            async with asyncio.timeout(PUBLISH), self._sending:
                producer = await self._connected()
                await asyncio.gather(
                    *[await producer.send(topic, body, key, headers=headers) for topic, key, body, headers in messages]
                )
        except BaseException:  # whatever it was, a new producer and another check of the topics is the remedy
            self._ensured = False
            self._drop_producer()
            raise

    async def _connected(self) -> AIOKafkaProducer:
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
                self._consumer = new_consumer(self._bootstrap, self.group, self._session)
                self._consumer.subscribe(list(self._types), listener=self._listener)
                await self._consumer.start()
        return self._consumer

    async def _ensure(self) -> None:
        if not self._ensured:
            await ensure(self._bootstrap, self._topics, REQUEST_MS)
            self._ensured = True

    async def _ensure_in_time(self) -> None:
        async with asyncio.timeout(CONNECT):
            await self._ensure()

    async def _create_missing_topics(self) -> None:
        self._ensured = False
        try:
            await self._ensure_in_time()
        except Exception as error:
            log.warning("topics are missing and could not be created: %r", error)

    def _drop_consumer(self) -> None:
        if self._listener is not None:
            self._listener.revoked = None
        self._progress.forget()
        self._stop_later(self._consumer)
        self._consumer = None

    def _drop_producer(self) -> None:
        self._stop_later(self._producer)
        self._producer = None

    def _stop_later(self, client: Any) -> None:
        """Stop the client in the background, since that may hang while the broker is unavailable."""
        if client is not None:
            task = asyncio.ensure_future(stop(client, CLOSE))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


def _message_of(row: OutboxRow) -> Message:
    headers = [("type", row.type.encode()), ("id", row.id.encode())]
    return topic_of(row.channel), row.key.encode(), row.body, headers

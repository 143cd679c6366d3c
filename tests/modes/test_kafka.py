"""Kafka keeps the promises of every transport, against a real broker."""

import asyncio
import json
import os
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.codec import zstd_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from checkout.messages import PUBLIC, ReleaseStock
from checkout.topology import topology_of
from sagakit.envelope import decode
from sagakit.modes.kafka.topology import dead_letters_of, topic_of, topics
from sagakit.modes.kafka.transport import KafkaTransport
from sagakit.ports import Delivery, OutboxRow, Transport
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION, Topology, events_channel
from tests.contracts.page import SEND, WATCH
from tests.contracts.regenerate import golden
from tests.contracts.samples import ORDER, SAMPLES
from tests.modes.broker_namespace import BrokerNamespace
from tests.modes.conformance import TransportConformance, settings
from tests.modes.faults import FakeInlet, envelope
from tests.modes.servers import ProcessServer, running

# aiokafka leaves sockets to the garbage collector when its start is cancelled, which an outage leads to
pytestmark = [
    pytest.mark.carrier("kafka"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@asynccontextmanager
async def producer(server: ProcessServer, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A stranger's producer."""
    client = AIOKafkaProducer(bootstrap_servers=server.address, max_request_size=2_000_000, **options)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


def name_no_text(batch: bytearray) -> None:
    """Replace the header's name by bytes that are no UTF-8."""
    at = bytes(batch).rindex(b"name")
    batch[at : at + 4] = b"\xff\xfe\xff\xfe"


async def put(
    stranger: AIOKafkaProducer,
    topic: str,
    partition: int,
    bodies: Sequence[bytes],
    codec: int = 0,
    mend: Callable[[bytearray], None] | None = None,
) -> None:
    """Send one batch as raw bytes, so that no check of a producer refuses it."""
    batch = stranger.create_batch()
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for at, body in enumerate(bodies):
        builder.append(at, int(time.time() * 1000), None, body, [("name", b"of a header")])
        batch.append(timestamp=None, key=None, value=body)
    batch.close()
    raw = bytearray(builder.build())
    if mend is not None:
        mend(raw)
    if codec:
        raw[61:] = zstd_encode(bytes(raw[61:]))
        struct.pack_into(">i", raw, 8, len(raw) - 12)
        struct.pack_into(">h", raw, 21, codec)
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    batch._buffer = bytes(raw)
    await (await stranger.send_batch(batch, topic, partition=partition))


class TestKafka(TransportConformance):
    redelivery = 1.0

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[ProcessServer]:
        with running("kafka") as server:
            yield server

    def connect(self, server: ProcessServer, consumer: str, topology: Topology) -> Transport:
        return KafkaTransport(settings(kafka_bootstrap=server.address), consumer, topology)

    async def dead_letters(self, server: ProcessServer, consumer: str) -> list[tuple[bytes, str]]:
        partition = TopicPartition(dead_letters_of(consumer), 0)
        reader = AIOKafkaConsumer(bootstrap_servers=server.address, auto_offset_reset="earliest")
        await reader.start()
        try:
            reader.assign([partition])
            await reader.seek_to_beginning(partition)
            end = (await reader.end_offsets([partition]))[partition]
            records = list[Any]()
            while len(records) < end:
                records += (await reader.getmany(timeout_ms=1000)).get(partition, [])
            return [(record.value, dict(record.headers)["cause"].decode()) for record in records]
        finally:
            await reader.stop()

    async def publish_as_a_stranger(self, server: ProcessServer, namespace: BrokerNamespace) -> int:
        topic = topic_of(namespace.one)
        async with producer(server) as stranger:
            await stranger.send_and_wait(topic, None, b"a key and no value")
            await stranger.send_and_wait(topic, b"no key", headers=[("type", None), ("type", b""), ("\u00fc", None)])
            await stranger.send_and_wait(topic, b"long", headers=[("x" * 100_000, b"y" * 100_000)])
            await stranger.send_and_wait(topic, b"x" * 1_000_000, b"k" * 10_000)
            await put(stranger, topic, 0, [b"a name of a header that is no text"], mend=name_no_text)
        return 5

    @pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
    async def test_records_of_every_codec_are_read(
        self, namespace: BrokerNamespace, server: ProcessServer, codec: str
    ) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 20)
        async with producer(server, compression_type=codec, linger_ms=50) as stranger:
            await asyncio.gather(*(stranger.send_and_wait(topic_of(namespace.one), row.body) for row in rows))
        await namespace.collect(alpha, rows)

    @pytest.mark.parametrize("codec", [0, 4])
    async def test_what_cannot_be_read_is_a_dead_letter_that_says_where_it_was_and_its_neighbours_arrive(
        self, namespace: BrokerNamespace, server: ProcessServer, codec: int
    ) -> None:
        alpha, inlet, topic = await namespace.open(namespace.alpha), FakeInlet(), topic_of(namespace.one)
        expected = set[str]()
        async with producer(server) as stranger:
            for number in range(6):
                names = [f"{number}-{which}" for which in ("before", "unreadable", "after")]
                bodies_ = [envelope(name) for name in names]
                await put(stranger, topic, 0, bodies_[:1])
                await put(stranger, topic, 0, bodies_[1:2], codec, name_no_text)
                await put(stranger, topic, 0, bodies_[2:])
                expected |= {names[0], names[2]}
        await self._consumed(alpha, inlet, lambda: expected <= set(inlet.subjects) and len(inlet.dead_letters) >= 6)
        assert set(inlet.subjects) == expected
        assert [json.loads(body)["unreadable"] for body, _ in inlet.dead_letters] == [
            f"{topic}/0/{3 * n + 1}" for n in range(6)
        ]
        assert all("UnicodeDecodeError" in cause and topic in cause for _, cause in inlet.dead_letters)
        assert await self._dead(server, namespace.alpha, 6) == inlet.dead_letters
        await alpha.close()
        assert not await namespace.listen(await namespace.open(namespace.alpha), self.redelivery + 1)

    async def test_a_batch_that_was_damaged_at_the_broker_is_passed_over(
        self, namespace: BrokerNamespace, server: ProcessServer
    ) -> None:
        alpha, inlet, topic = await namespace.open(namespace.alpha), FakeInlet(), topic_of(namespace.one)
        async with producer(server) as stranger:
            for name in ("before", "damaged", "after"):
                await put(stranger, topic, 0, [envelope(name)])
        (segment,) = server.folder.rglob(f"{topic}-0/*.log")
        kept = segment.read_bytes()
        with segment.open("r+b") as log:
            log.seek(kept.index(b"damaged"))
            log.write(b"DAMAGED")
        await self._consumed(
            alpha, inlet, lambda: {"before", "after"} <= set(inlet.subjects) and len(inlet.dead_letters) == 1
        )
        ((body, cause),) = inlet.dead_letters
        assert json.loads(body)["unreadable"] == f"{topic}/0/1"
        assert "CRC" in cause
        assert await self._dead(server, namespace.alpha, 1) == inlet.dead_letters

    async def test_an_outage_passes_no_record_over(self, namespace: BrokerNamespace, server: ProcessServer) -> None:
        alpha, inlet, topic = await namespace.open(namespace.alpha), FakeInlet(), topic_of(namespace.one)
        async with producer(server) as stranger:
            await put(stranger, topic, 0, [envelope("unreadable")], mend=name_no_text)
            for number in range(50):
                await put(stranger, topic, 0, [envelope(str(number))])
        assert isinstance(alpha, KafkaTransport)
        all_read, restarts = (lambda: len(set(inlet.subjects)) == 50), 3
        reading = asyncio.create_task(self._consumed(alpha, inlet, all_read, restarts))
        for _ in range(restarts):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await reading
        assert {json.loads(body)["unreadable"] for body, _ in inlet.dead_letters} == {f"{topic}/0/0"}

    async def test_deleted_topics_are_made_again(self, namespace: BrokerNamespace, server: ProcessServer) -> None:
        alpha, beta = await namespace.open(namespace.alpha), await namespace.open(namespace.beta)
        rows = namespace.rows(namespace.one, 10)
        await alpha.publish(rows)
        await namespace.collect(alpha, rows)
        listening = asyncio.ensure_future(namespace.listen(alpha, self.patience))
        admin = AIOKafkaAdminClient(bootstrap_servers=server.address)
        await admin.start()
        await admin.delete_topics(list(topics(namespace.topology, 1)))
        await admin.close()
        await asyncio.sleep(1)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        more = namespace.rows(namespace.one, 10) + namespace.rows(namespace.two, 10)
        await namespace.publish(beta, more)
        await namespace.collect(alpha, more)

    async def test_a_client_that_knows_only_the_page_follows_events(
        self, server: ProcessServer, tmp_path: Path
    ) -> None:
        channel, body = events_channel(CHOREOGRAPHY, "order"), golden(SAMPLES["OrderPlaced"])
        row = OutboxRow(f"{ORDER}/OrderPlaced", channel, ORDER, "OrderPlaced", body)
        async with self.of_a_service(server, "order", CHOREOGRAPHY) as order:
            await order.publish([row, row])
            async with program(WATCH, tmp_path, server) as watching:
                assert watching.stdout is not None
                lines = [(await watching.stdout.readline()).decode().strip() for _ in range(2)]
                watching.terminate()
        assert lines == [f"{row.id}: order_id, checkout, idempotency_key, fingerprint", f"{row.id}: a repeat"]

    async def test_a_client_that_knows_only_the_page_sends_a_command(
        self, server: ProcessServer, tmp_path: Path
    ) -> None:
        async with self.of_a_service(server, "inventory", ORCHESTRATION) as inventory:
            async with program(SEND, tmp_path, server) as sending:
                await sending.communicate()
            assert sending.returncode == 0
            deliveries = list[Delivery]()
            while not deliveries:
                deliveries += await inventory.receive()
        (delivery,) = deliveries
        assert isinstance(decode(delivery.body, PUBLIC).message, ReleaseStock)

    @asynccontextmanager
    async def of_a_service(self, server: ProcessServer, service: str, style: str) -> AsyncIterator[Transport]:
        transport = self.connect(server, service, topology_of(style))
        await transport.start()
        try:
            async with asyncio.timeout(60):
                yield transport
        finally:
            await transport.close()


@asynccontextmanager
async def program(text: str, folder: Path, server: ProcessServer) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of the page, running."""
    file = folder / "program.py"
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, file, env={**os.environ, "KAFKA_BOOTSTRAP": server.address}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

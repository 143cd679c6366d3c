"""Kafka keeps what every transport promises, against a real broker."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from sagakit.modes.kafka.topology import dead_letters_of, topics
from sagakit.modes.kafka.transport import KafkaTransport
from sagakit.ports import Transport
from sagakit.topology import Topology
from tests.modes.conformance import TransportConformance, settings
from tests.modes.corner import Corner
from tests.modes.servers import ProcessServer, running

# aiokafka leaves sockets to the garbage collector when its start is cancelled, which an outage leads to
pytestmark = [
    pytest.mark.carrier("kafka"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


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
            records = (await reader.getmany(timeout_ms=1000)).get(partition, [])
            return [(record.value, dict(record.headers)["cause"].decode()) for record in records]
        finally:
            await reader.stop()

    async def test_deleted_topics_are_made_again(self, corner: Corner, server: ProcessServer) -> None:
        alpha, beta = await corner.open(corner.alpha), await corner.open(corner.beta)
        rows = corner.rows(corner.one, 10)
        await alpha.publish(rows)
        await corner.collect(alpha, rows)
        listening = asyncio.ensure_future(corner.listen(alpha, self.patience))
        admin = AIOKafkaAdminClient(bootstrap_servers=server.address)
        await admin.start()
        await admin.delete_topics(list(topics(corner.topology, 1)))
        await admin.close()
        await asyncio.sleep(1)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        more = corner.rows(corner.one, 10) + corner.rows(corner.two, 10)
        await corner.publish(beta, more)
        await corner.collect(alpha, more)

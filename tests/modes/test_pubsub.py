"""Pub/Sub keeps what every transport promises, as Google's emulator plays it, which forgets all when it ends."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sagakit.modes.pubsub.client import Client
from sagakit.modes.pubsub.topology import DEADLINE, FilterChanged, Names
from sagakit.modes.pubsub.transport import PubSubTransport
from sagakit.ports import Transport
from sagakit.topology import Topology
from tests.modes.conformance import TransportConformance, settings
from tests.modes.corner import Corner
from tests.modes.servers import ProcessServer, running

pytestmark = pytest.mark.carrier("pubsub")


class TestPubSub(TransportConformance):
    survives = frozenset()

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[ProcessServer]:
        with running("pubsub") as server:
            yield server

    def connect(self, server: ProcessServer, consumer: str, topology: Topology) -> Transport:
        return PubSubTransport(settings(pubsub_emulator_host=server.address), consumer, topology)

    async def dead_letters(self, server: ProcessServer, consumer: str) -> list[tuple[bytes, str]]:
        client = Client(server.address)
        await client.open()
        name = Names("quartet").subscription(f"quartet-test-{consumer}-dead-letters")
        try:
            found = await client.pull(name, 10)
            await client.extend(name, [one.ack_id for one in found], 0)
            return [(one.message.data, one.message.attributes["cause"]) for one in found]
        finally:
            await client.close()

    async def test_a_filter_that_was_changed_is_refused_since_it_would_withhold_messages(self, corner: Corner) -> None:
        await corner.open(corner.alpha)
        first, *others = corner.topology.subscriptions
        changed = Topology((replace(first, types=first.types | {"New"}), *others))
        with pytest.raises(FilterChanged, match="drain and delete"):
            await corner.connect(corner.alpha, changed).start()

    async def test_what_was_received_and_never_settled_comes_again(self, corner: Corner) -> None:
        alpha = await corner.open(corner.alpha)
        rows = corner.rows(corner.one, 5)
        await alpha.publish(rows)
        await corner.hold(alpha, rows)
        await corner.collect(alpha, rows)

    async def test_what_is_in_hand_for_long_stays_with_its_consumer(self, corner: Corner) -> None:
        first, second = await corner.open(corner.alpha), await corner.open(corner.alpha)
        rows = corner.rows(corner.one, 1)
        await first.publish(rows)
        held = await corner.hold(first, rows)
        assert not await corner.listen(second, DEADLINE + 3)
        await first.settle(held, [])
        assert not await corner.listen(second, 2)

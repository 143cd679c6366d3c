"""Pub/Sub keeps the promises of every transport. It is Google's emulator here, which loses everything when it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from unittest.mock import AsyncMock

import pytest
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.pubsub_v1.types import PubsubMessage, UpdateSubscriptionRequest

from quartet_stack.servers import pubsub as emulator
from sagakit.modes.pubsub.client import Client
from sagakit.modes.pubsub.topology import (
    DEADLINE,
    FilterChanged,
    Names,
    dead_letters_of,
    subscription_of,
    topic_of,
    undelivered_of,
)
from sagakit.modes.pubsub.transport import PubSubTransport
from sagakit.modes.pubsub.wire import new_message
from sagakit.ports import Retry, Transport
from sagakit.topology import Topology
from tests.modes.broker_namespace import MADE, BrokerNamespace, bodies
from tests.modes.conformance import TransportConformance, settings
from tests.modes.faults import BackstopConformance
from tests.modes.servers import ProcessServer, running

LEAST_DELIVERIES = 5  # Pub/Sub allows no less
OUT_OF_MEMORY = 3  # the status with which a JVM ends itself
pytestmark = pytest.mark.carrier("pubsub")


class TestPubSub(BackstopConformance, TransportConformance):
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
            letters = await client.pull(name, 10)
            if letters:
                await client.extend(name, [letter.ack_id for letter in letters], 0)
            return [(letter.message.data, letter.message.attributes["cause"]) for letter in letters]
        finally:
            await client.close()

    async def deliver_too_often(self, server: ProcessServer, namespace: BrokerNamespace) -> None:
        client = Client(server.address)
        await client.open()
        name = Names("quartet").subscription(subscription_of(namespace.topology.of(namespace.alpha)[0]))
        place = Names("quartet").topic(undelivered_of(namespace.topology, namespace.alpha))
        await _give_up(client, name, place, LEAST_DELIVERIES)
        times = 0
        try:
            async with asyncio.timeout(self.patience):
                while times < LEAST_DELIVERIES:
                    with suppress(DeadlineExceeded):  # an empty pull
                        received = await client.pull(name, 10)
                        times += len(received)
                        if received:
                            await client.extend(name, [one.ack_id for one in received], 0)
        finally:
            await client.close()

    async def publish_as_a_stranger(self, server: ProcessServer, namespace: BrokerNamespace) -> int:
        strange = [
            new_message(data=b"no attributes at all"),
            new_message(data=b"\xff\x00\xfe", attributes={"type": MADE}),
            new_message(data=b"many", attributes={"type": MADE} | {f"a{number}": "v" for number in range(99)}),
            new_message(data=b"long", attributes={"type": MADE, "x" * 256: "\u00fc" * 512}),
            new_message(attributes={"type": MADE, "why": "no data"}),
            new_message(
                data=b"ordered",
                ordering_key="k" * 1024,
                attributes={
                    "type": MADE,
                },
            ),
        ]
        client = Client(server.address)
        await client.open()
        try:
            for one in strange:
                await client.publish(Names("quartet").topic(topic_of(namespace.one)), [one])
        finally:
            await client.close()
        return len(strange)

    @pytest.mark.parametrize("call", ["pull", "extend"])
    async def test_a_task_that_fails_by_a_bug_fails_the_consumer_and_is_started_again(
        self, namespace: BrokerNamespace, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        alpha, other = await namespace.open(namespace.alpha), await namespace.open(namespace.alpha)
        assert isinstance(alpha, PubSubTransport)
        rows = namespace.rows(namespace.one, 5)
        await alpha.publish(rows)
        held = await namespace.hold(alpha, rows)
        await alpha.settle([], [Retry(one, counts=False) for one in held], [])
        with monkeypatch.context() as patch:
            patch.setattr(alpha._client, call, AsyncMock(side_effect=KeyError("a bug of ours")))
            with pytest.raises(KeyError, match="a bug of ours"):
                await namespace.consume(alpha)
        while True:  # the error of each task is raised once
            try:
                again = list(await alpha.receive())
                break
            except KeyError:
                continue
        await alpha.settle(again, [], [])
        await namespace.collect(alpha, [row for row in rows if row.body not in bodies(again)])
        more = namespace.rows(namespace.one, 5)
        await alpha.publish(more)
        await namespace.collect(alpha, more)
        assert not await namespace.listen(other, 1)

    async def test_a_changed_filter_is_refused_since_it_would_hold_messages_back(
        self, namespace: BrokerNamespace
    ) -> None:
        await namespace.open(namespace.alpha)
        first, *others = namespace.topology.subscriptions
        changed = Topology((replace(first, types=first.types | {"New"}), *others))
        with pytest.raises(FilterChanged, match="drain and delete"):
            await namespace.connect(namespace.alpha, changed).start()

    async def test_a_subscription_of_an_earlier_version_gets_the_present_dead_letter_topic(
        self, namespace: BrokerNamespace, server: ProcessServer
    ) -> None:
        await namespace.open(namespace.alpha)
        name = Names("quartet").subscription(subscription_of(namespace.topology.of(namespace.alpha)[0]))
        client = Client(server.address)
        await client.open()
        try:
            before = Names("quartet").topic(dead_letters_of(namespace.topology, namespace.alpha))
            await _give_up(client, name, before, LEAST_DELIVERIES)
            await namespace.open(namespace.alpha)
            existing = await client.subscriber.get_subscription(subscription=name)
        finally:
            await client.close()
        place = Names("quartet").topic(undelivered_of(namespace.topology, namespace.alpha))
        assert existing.dead_letter_policy.dead_letter_topic == place

    async def test_what_was_received_and_never_settled_comes_again(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 5)
        await alpha.publish(rows)
        await namespace.hold(alpha, rows)
        await namespace.collect(alpha, rows)

    async def test_a_message_that_is_in_hand_for_long_stays_with_its_consumer(self, namespace: BrokerNamespace) -> None:
        first, second = await namespace.open(namespace.alpha), await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 1)
        await first.publish(rows)
        held = await namespace.hold(first, rows)
        assert not await namespace.listen(second, DEADLINE + 3)
        await first.settle(held, [], [])
        assert not await namespace.listen(second, 2)


async def test_an_emulator_whose_memory_is_full_ends_so_that_it_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emulator, "JVM", ("-Xmx32m", *emulator.JVM[1:]))
    with running("pubsub") as server:
        client, names = Client(server.address), Names("quartet")
        await client.open()
        try:
            topic = names.topic("full")
            await client.publisher.create_topic(name=topic, timeout=10, retry=None)
            await client.subscriber.create_subscription(name=names.subscription("full"), topic=topic, timeout=10)
            with pytest.raises(GoogleAPIError):
                await _publish_without_end(client, topic)
        finally:
            await client.close()
        assert await asyncio.to_thread(server.wait, 60) == OUT_OF_MEMORY


async def _publish_without_end(client: Client, topic: str) -> None:
    while True:
        messages = [PubsubMessage(data=bytes(1000)) for _ in range(500)]
        await client.publisher.publish(topic=topic, messages=messages, timeout=60, retry=None)


async def _give_up(client: Client, subscription: str, place: str, deliveries: int) -> None:
    """Let Pub/Sub put what it has delivered so often into that topic."""
    policy = {"dead_letter_topic": place, "max_delivery_attempts": deliveries}
    changed = {"name": subscription, "dead_letter_policy": policy}
    request = UpdateSubscriptionRequest(subscription=changed, update_mask={"paths": ["dead_letter_policy"]})
    await client.subscriber.update_subscription(request)

"""A plain consumer for each service: `python -m loadtests.bench.peers.aiokafka SERVICE`.

A message, a transaction, the next event, then the offset is committed: what aiokafka's documentation calls
at-least-once, with `enable_auto_commit=False`. The events wait for all replicas, and the producer is idempotent.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from loadtests.bench.peers.asynchronous import Databases
from loadtests.bench.peers.choreography import SUBSCRIPTIONS, Service
from loadtests.bench.peers.driver import READY, drive, say


async def main(name: str) -> None:
    """Run a service until it is terminated, or the order service until standard input ends."""
    broker = os.environ["PEER_KAFKA"]
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        *SUBSCRIPTIONS[name],
        bootstrap_servers=broker,
        group_id=f"peer-{name}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )

    async def publish(topic: str, content: Mapping[str, Any], key: bytes) -> None:
        await producer.send_and_wait(topic, json.dumps(content).encode(), key=key)

    async with Databases([name]) as databases, producer, consumer:
        service = Service(name, databases, publish)

        async def consume() -> None:
            async for message in consumer:
                await service.heard(json.loads(message.value))
                await consumer.commit()

        consuming = asyncio.create_task(consume())
        if name == "order":
            await drive(service.buy)
            consuming.cancel()
        else:
            say(READY)
        with suppress(asyncio.CancelledError):
            await consuming


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""A FastStream service each: `python -m loadtests.bench.peers.faststream SERVICE`.

A subscriber with a group, which acknowledges a message after its handler has returned and has it again if the handler
failed (`AckPolicy.NACK_ON_ERROR`); events are published with acknowledgement by all replicas.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker

from loadtests.bench.peers.asynchronous import Databases
from loadtests.bench.peers.choreography import SUBSCRIPTIONS, Service
from loadtests.bench.peers.driver import READY, drive, say


async def main(name: str) -> None:
    """Run a service until it is terminated, or the order service until standard input ends."""
    logging.basicConfig(level=logging.WARNING)
    log = logging.getLogger("peer")
    broker = KafkaBroker(os.environ["PEER_KAFKA"], acks="all", enable_idempotence=True, logger=log)
    app = FastStream(broker, logger=log)

    async def publish(topic: str, content: Mapping[str, Any], key: bytes) -> None:
        await broker.publish(content, topic, key=key)

    async with Databases([name]) as databases:
        service = Service(name, databases, publish)

        @broker.subscriber(
            *SUBSCRIPTIONS[name],
            group_id=f"peer-{name}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        async def heard(content: dict[str, Any]) -> None:
            await service.heard(content)

        @app.after_startup
        async def started() -> None:
            if name != "order":
                say(READY)

        running = asyncio.create_task(app.run())
        if name == "order":
            while not broker.running:  # noqa: ASYNC110 - the broker has no event for it
                await asyncio.sleep(0.05)
            await drive(service.buy)
            app.exit()
        await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

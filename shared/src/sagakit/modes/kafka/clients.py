"""Producers and consumers with the settings under which nothing is lost, and how to stop them."""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import ConsumerRebalanceListener

log = logging.getLogger(__name__)

REQUEST_MS: Final = 2500  # for one request; below the timeouts around it, since a cancelled client leaks its sockets


def new_producer(bootstrap: str) -> AIOKafkaProducer:
    """A producer whose records all replicas acknowledge, whose retries make no duplicates, and which never lingers."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=1 << 18,
        retry_backoff_ms=20,
        request_timeout_ms=REQUEST_MS,
        # the key chooses the partition; the client's own hash of it is computed in Python, byte by byte
        partitioner=lambda key, every, available: every[zlib.crc32(key or b"") % len(every)],
    )


def new_consumer(bootstrap: str, group: str, session: float) -> AIOKafkaConsumer:
    """A consumer that commits only the offsets it is given, and begins with the oldest record."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=int(session * 1000),
        heartbeat_interval_ms=min(500, int(session * 250)),
        retry_backoff_ms=20,
        request_timeout_ms=10_000,  # a member waits this long for the others to join
        metadata_max_age_ms=5_000,  # how soon missing topics are noticed
    )


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Calls `revoked` before partitions are assigned to others, until `revoked` is set to None."""

    def __init__(self, revoked: Callable[[], Awaitable[None]]) -> None:
        self.revoked: Callable[[], Awaitable[None]] | None = revoked

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Wait for `revoked`; the rebalance waits too."""
        if self.revoked is not None:
            await self.revoked()

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Nothing is to be done."""


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer, seconds: float) -> None:
    """Stop a client; close its connections if that takes longer than `seconds`. Never raises."""
    try:
        async with asyncio.timeout(seconds):
            await client.stop()
    except Exception as error:
        log.info("a client of Kafka did not stop in time: %r", error)
        connections: Any = client.client if isinstance(client, AIOKafkaProducer) else client._client
        with suppress(Exception):
            async with asyncio.timeout(1):
                await connections.close()

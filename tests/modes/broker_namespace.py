"""A namespace in a broker for each test, and what the tests of all transports do in it."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

import pytest

from sagakit.ports import Delivery, OutboxRow, Retry, Transport
from sagakit.settings import Settings
from sagakit.topology import Subscription, Topology
from tests.keys import PUBLIC_KEY

ATTEMPTS = 3
MADE, CHANGED, IGNORED = "Made", "Changed", "Ignored"


class Server(Protocol):
    """The broker's process. All methods block; `start` returns when it answers, and may be called again."""

    @property
    def address(self) -> Any: ...

    def start(self) -> None: ...

    def stop(self) -> None:
        """End it gracefully."""

    def kill(self) -> None:
        """End it at once, as SIGKILL does."""

    def freeze(self) -> None:
        """Let it accept connections and answer nothing, as SIGSTOP does."""

    def thaw(self) -> None: ...


def settings(**overrides: Any) -> Settings:
    """The settings of a transport under test: quick retries, few attempts."""
    values = {
        "token_public_keys": PUBLIC_KEY,
        "delivery_attempts": ATTEMPTS,
        "retry_initial": 0.05,
        "retry_max": 0.5,
        "sqs_visibility": 2.0,
        **overrides,
    }
    return Settings(**values)


@dataclass
class BrokerNamespace:
    """A topology of its own: `alpha` subscribes to channels one and two, `beta` to type MADE of channel one."""

    connect: Callable[[str, Topology], Transport]
    patience: float
    name: str = field(default_factory=lambda: uuid4().hex[:8])
    opened: list[Transport] = field(default_factory=list)
    numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.one, self.two = f"test.{self.name}.one", f"test.{self.name}.two"
        self.alpha, self.beta = f"alpha-{self.name}", f"beta-{self.name}"
        self.topology = Topology(
            (
                Subscription(self.alpha, self.one, frozenset({MADE, CHANGED})),
                Subscription(self.alpha, self.two, frozenset({MADE})),
                Subscription(self.beta, self.one, frozenset({MADE})),
            )
        )

    def new(self, consumer: str) -> Transport:
        """A transport, not started; closed at the end of the test."""
        transport = self.connect(consumer, self.topology)
        self.opened.append(transport)
        return transport

    async def open(self, consumer: str) -> Transport:
        transport = self.new(consumer)
        async with asyncio.timeout(self.patience):
            await transport.start()
        return transport

    def rows(self, channel: str, how_many: int, kind: str = MADE) -> list[OutboxRow]:
        """New rows, no two of them with the same body; ten to a key."""
        numbers = [next(self.numbers) for _ in range(how_many)]
        return [
            OutboxRow(
                id=f"{self.name}-{number}/{kind}",
                channel=channel,
                key=f"{self.name}-{number // 10}",
                type=kind,
                body=json.dumps({"number": number, "type": kind, "text": "grüß Gott ✓"}).encode(),
            )
            for number in numbers
        ]

    async def publish(self, transport: Transport, rows: Sequence[OutboxRow]) -> None:
        """Publish as the relay does: retry until the broker has accepted all rows."""
        async with asyncio.timeout(self.patience):
            while True:
                try:
                    return await transport.publish(rows)
                except Exception:
                    await asyncio.sleep(0.2)

    async def receive(self, transport: Transport) -> Sequence[Delivery]:
        """Receive as a consumer that is restarted when it fails."""
        try:
            return await transport.receive()
        except Exception:
            await asyncio.sleep(0.2)
            return []

    async def collect(self, transport: Transport, rows: Sequence[OutboxRow]) -> list[Delivery]:
        """Receive and acknowledge until all of `rows` have come; returns all deliveries."""
        missing, deliveries = {row.body for row in rows}, list[Delivery]()
        try:
            async with asyncio.timeout(self.patience):
                while missing:
                    batch = await self.receive(transport)
                    deliveries += batch
                    missing -= {delivery.body for delivery in batch}
                    if batch:
                        await self.settle(transport, batch)
        except TimeoutError:
            pytest.fail(f"{len(missing)} of {len(rows)} did not come within {self.patience} s, {len(deliveries)} came")
        return deliveries

    async def consume(self, transport: Transport) -> None:
        """Receive until that raises or `patience` is over; all deliveries are settled as locked."""
        async with asyncio.timeout(self.patience):
            while True:
                await transport.settle([], [Retry(one, counts=False) for one in await transport.receive()], [])

    async def settle(self, transport: Transport, done: Sequence[Delivery]) -> None:
        """Acknowledge; an error of the transport is ignored."""
        with contextlib.suppress(Exception):
            await transport.settle(done, [], [])

    async def hold(self, transport: Transport, rows: Sequence[OutboxRow]) -> list[Delivery]:
        """Receive until all of `rows` are in hand, acknowledging nothing; one delivery for each body."""
        expected, held = {row.body for row in rows}, dict[bytes, Delivery]()
        try:
            async with asyncio.timeout(self.patience):
                while expected - held.keys():
                    held |= {delivery.body: delivery for delivery in await self.receive(transport)}
        except TimeoutError:
            pytest.fail(f"{len(expected - held.keys())} of {len(rows)} did not come within {self.patience} s")
        return list(held.values())

    async def listen(self, transport: Transport, seconds: float) -> list[Delivery]:
        """All deliveries that come within `seconds`; they are acknowledged."""
        deliveries = list[Delivery]()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    batch = await self.receive(transport)
                    deliveries += batch
                    if batch:
                        await self.settle(transport, batch)
        return deliveries


def bodies(messages: Collection[Any]) -> set[bytes]:
    return {message.body for message in messages}

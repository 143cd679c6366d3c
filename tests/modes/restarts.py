"""What every transport must do while its broker is away, and after that; `TransportConformance` inherits it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from sagakit.ports import OutboxRow, Transport
from sagakit.topology import Topology
from tests.modes.broker_namespace import BrokerNamespace


class RestartConformance:
    """Provides what all conformance tests use: a namespace, and what a transport's test file has to fill in."""

    survives: frozenset[str] = frozenset({"stop", "kill"})  # after these the broker still has its messages
    redelivery: float = 5.0  # at most so many seconds after a consumer was closed, its messages come again
    patience: float = 30.0  # seconds that anything may take, a restart of the broker included
    refusal: float = 10.0  # seconds within which a publish to a broker that is down, or silent, raises

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Any:
        raise NotImplementedError

    def connect(self, server: Any, consumer: str, topology: Topology) -> Transport:
        """A new transport, not started, made with `settings(...)`."""
        raise NotImplementedError

    async def dead_letters(self, server: Any, consumer: str) -> list[tuple[bytes, str]]:
        """(body, cause) of each dead letter of the consumer."""
        raise NotImplementedError

    @pytest.fixture
    async def namespace(self, server: Any) -> AsyncIterator[BrokerNamespace]:
        namespace = BrokerNamespace(lambda consumer, topology: self.connect(server, consumer, topology), self.patience)
        yield namespace
        for transport in namespace.opened:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self.patience):
                    await transport.close()

    async def _nudged(self, namespace: BrokerNamespace, transport: Transport, rows: Sequence[OutboxRow]) -> None:
        """Publish until all has come, as nudges do.

        A broker that has lost its topics also loses what is published while another client creates them again: a topic
        is there a moment before its subscriptions.
        """
        collecting = asyncio.ensure_future(namespace.collect(transport, rows))
        while not collecting.done():
            await namespace.publish(transport, rows)
            await asyncio.wait({collecting}, timeout=self.redelivery)
        await collecting

    async def test_start_waits_for_the_broker(self, namespace: BrokerNamespace, server: Any) -> None:
        await asyncio.to_thread(server.stop)
        alpha = namespace.new(namespace.alpha)
        try:
            starting = asyncio.ensure_future(alpha.start())
            await asyncio.sleep(1.5)
            assert not starting.done()
        finally:
            await asyncio.to_thread(server.start)
        async with asyncio.timeout(self.patience):
            await starting
        rows = namespace.rows(namespace.one, 5)
        await namespace.publish(alpha, rows)
        await namespace.collect(alpha, rows)

    @pytest.mark.parametrize("how", ["kill", "freeze"])
    async def test_publish_raises_in_time_while_the_broker_is_away(
        self, namespace: BrokerNamespace, server: Any, how: str
    ) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 20)
        await namespace.publish(alpha, rows[:10])
        await asyncio.to_thread(getattr(server, how))
        try:
            began = time.monotonic()
            with pytest.raises(Exception):  # noqa: B017, PT011 - any: the outbox keeps the rows whatever it is
                await alpha.publish(rows[10:])
            assert time.monotonic() - began < self.refusal
        finally:
            await asyncio.to_thread(server.thaw if how == "freeze" else server.start)
        await namespace.publish(alpha, rows)
        await namespace.collect(alpha, rows)

    async def test_close_ends_in_time_while_the_broker_is_away(self, namespace: BrokerNamespace, server: Any) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 5)
        await namespace.publish(alpha, rows)
        await namespace.collect(alpha, rows)
        await asyncio.to_thread(server.kill)
        try:
            async with asyncio.timeout(self.refusal):
                await alpha.close()
        finally:
            await asyncio.to_thread(server.start)

    @pytest.mark.parametrize("how", ["stop", "kill"])
    async def test_all_goes_on_by_itself_after_a_restart_of_the_broker(
        self, namespace: BrokerNamespace, server: Any, how: str
    ) -> None:
        alpha, beta = await namespace.open(namespace.alpha), await namespace.open(namespace.beta)
        before, under_way, after = (namespace.rows(namespace.one, 30) for _ in range(3))
        await namespace.publish(alpha, before)
        await namespace.collect(alpha, before)
        await namespace.publish(alpha, under_way)
        listening = asyncio.ensure_future(namespace.listen(alpha, self.patience))
        await asyncio.to_thread(getattr(server, how))
        await asyncio.sleep(1)
        await asyncio.to_thread(server.start)
        if how in self.survives:
            await namespace.publish(beta, after)
            await namespace.collect(beta, before + under_way + after)
        else:
            await self._nudged(namespace, beta, after)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        last = namespace.rows(namespace.one, 5)
        await namespace.publish(alpha, last)
        await namespace.collect(alpha, last)

"""What every transport must do. A transport's test file inherits `TransportConformance`.

The subclass provides the fixture `server` (running; scope "class" or wider), `connect` (a new transport, not
started) and `dead_letters` (those of a consumer at the broker), and sets the class attributes where they
differ. Every test has a namespace of its own, so that tests do not see each other's messages.
"""

import asyncio
import contextlib
from typing import Any

from sagakit.ports import DeadDelivery, OutboxRow, Retry, Transport
from tests.modes.broker_namespace import ATTEMPTS, CHANGED, IGNORED, MADE, BrokerNamespace, Server, bodies, settings
from tests.modes.faults import FaultConformance
from tests.modes.probes import ProbeConformance
from tests.modes.restarts import RestartConformance

__all__ = ["ATTEMPTS", "Server", "TransportConformance", "settings"]


class TransportConformance(FaultConformance, ProbeConformance, RestartConformance):
    """Inherit this class, name the subclass Test…, and give it a server."""

    # --- who gets what -------------------------------------------------------------------------------

    async def test_what_is_published_reaches_every_subscriber_and_no_other(self, namespace: BrokerNamespace) -> None:
        alpha, beta = await namespace.open(namespace.alpha), await namespace.open(namespace.beta)
        both, only_alpha = namespace.rows(namespace.one, 5), namespace.rows(namespace.two, 5)
        await namespace.publish(alpha, both + only_alpha)
        assert bodies(await namespace.collect(alpha, both + only_alpha)) == bodies(both + only_alpha)
        assert bodies(await namespace.collect(beta, both)) == bodies(both)
        assert not await namespace.listen(beta, 1)

    async def test_types_that_a_consumer_does_not_subscribe_to_do_not_reach_it(
        self, namespace: BrokerNamespace
    ) -> None:
        alpha, beta = await namespace.open(namespace.alpha), await namespace.open(namespace.beta)
        changed, ignored, made = (namespace.rows(namespace.one, 5, kind) for kind in (CHANGED, IGNORED, MADE))
        await namespace.publish(beta, changed + ignored + made)
        assert bodies(await namespace.collect(alpha, changed + made)) == bodies(changed + made)
        assert bodies(await namespace.collect(beta, made)) == bodies(made)
        assert not await namespace.listen(beta, 1)

    async def test_the_body_arrives_byte_for_byte_in_its_first_attempt(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 1)
        await namespace.publish(alpha, rows)
        (delivery,) = await namespace.collect(alpha, rows)
        assert (delivery.body, delivery.attempt) == (rows[0].body, 1)

    async def test_a_thousand_messages_in_one_publish_arrive_complete(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 1000)
        await namespace.publish(alpha, rows)
        await namespace.collect(alpha, rows)

    async def test_what_was_published_before_a_subscriber_first_started_waits_for_it(
        self, namespace: BrokerNamespace
    ) -> None:
        beta = await namespace.open(namespace.beta)
        rows = namespace.rows(namespace.two, 5)
        await namespace.publish(beta, rows)
        await namespace.collect(await namespace.open(namespace.alpha), rows)

    async def test_a_publish_may_be_repeated(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 20)
        await namespace.publish(alpha, rows)
        await namespace.publish(alpha, rows)
        await namespace.collect(alpha, rows)
        assert bodies(await namespace.listen(alpha, 1)) <= bodies(rows)

    # --- acknowledging -------------------------------------------------------------------------------

    async def test_what_was_acknowledged_does_not_come_again(self, namespace: BrokerNamespace) -> None:
        first = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 50)
        await namespace.publish(first, rows)
        await namespace.collect(first, rows)
        await first.close()
        assert not await namespace.listen(await namespace.open(namespace.alpha), self.redelivery + 1)

    async def test_what_was_not_acknowledged_comes_again_after_the_consumer_is_gone(
        self, namespace: BrokerNamespace
    ) -> None:
        first = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 50)
        await namespace.publish(first, rows)
        held = await namespace.hold(first, rows)
        await first.settle(held[::2], [], [])
        await first.close()
        left = [row for row in rows if row.body in bodies(held[1::2])]
        await namespace.collect(await namespace.open(namespace.alpha), left)

    async def test_a_cancelled_receive_loses_nothing(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = list[OutboxRow]()
        for _ in range(5):
            task = asyncio.ensure_future(alpha.receive())
            await asyncio.sleep(0.05)
            rows += (more := namespace.rows(namespace.one, 5))
            await namespace.publish(alpha, more)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await namespace.collect(alpha, rows)

    async def test_settling_twice_or_nothing_is_harmless(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 5)
        await namespace.publish(alpha, rows)
        held = await namespace.hold(alpha, rows)
        await alpha.settle([], [], [])
        await alpha.settle(held, [], [])
        with contextlib.suppress(Exception):
            await alpha.settle(held, [], [])
        more = namespace.rows(namespace.one, 5)
        await namespace.publish(alpha, more)
        await namespace.collect(alpha, more)

    # --- failing -------------------------------------------------------------------------------------

    async def test_a_failed_delivery_comes_again_as_a_later_attempt(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 10)
        await namespace.publish(alpha, rows)
        held = await namespace.hold(alpha, rows)
        await alpha.settle(held[1:], [Retry(held[0])], [])
        (again,) = await namespace.hold(alpha, [row for row in rows if row.body == held[0].body])
        assert again.attempt > held[0].attempt
        await alpha.settle([again], [], [])
        assert not await namespace.listen(alpha, self.redelivery + 1)

    async def test_a_failed_delivery_holds_no_neighbour_up(self, namespace: BrokerNamespace) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 10)
        await namespace.publish(alpha, rows)
        held = await namespace.hold(alpha, rows)
        await alpha.settle([], [Retry(one) for one in held], [])
        more = namespace.rows(namespace.one, 10)
        await namespace.publish(alpha, more)
        await namespace.collect(alpha, rows + more)

    async def test_a_dead_delivery_goes_to_the_dead_letters_with_its_cause_and_holds_up_nobody(
        self, namespace: BrokerNamespace, server: Any
    ) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 10)
        await namespace.publish(alpha, rows)
        held = await namespace.hold(alpha, rows)
        await alpha.settle(held[1:], [], [DeadDelivery(held[0], "unknown version")])
        more = namespace.rows(namespace.one, 10)
        await namespace.publish(alpha, more)
        assert held[0].body not in bodies(await namespace.collect(alpha, more))
        ((body, cause),) = await self._dead(server, namespace.alpha, 1)
        assert (body, cause) == (held[0].body, "unknown version")
        await alpha.close()
        assert not await namespace.listen(await namespace.open(namespace.alpha), self.redelivery + 1)

    # --- several of a kind ---------------------------------------------------------------------------

    async def test_two_replicas_share_the_work_and_lose_nothing(self, namespace: BrokerNamespace) -> None:
        first, second = await asyncio.gather(namespace.open(namespace.alpha), namespace.open(namespace.alpha))
        rows = namespace.rows(namespace.one, 500)
        missing, received = bodies(rows), [0, 0]

        async def consume(index: int, transport: Transport) -> None:
            while missing:
                batch = await namespace.receive(transport)
                received[index] += len(batch)
                await asyncio.sleep(0.05)
                await namespace.settle(transport, batch)
                missing.difference_update(bodies(batch))

        async def produce() -> None:
            for start in range(0, len(rows), 20):
                await namespace.publish(first, rows[start : start + 20])
                await asyncio.sleep(0.02)

        async with asyncio.timeout(self.patience):
            await asyncio.gather(consume(0, first), consume(1, second), produce())
        assert min(received) > 0, "one of them had nothing to do"

    async def test_replicas_that_come_and_go_lose_nothing(self, namespace: BrokerNamespace) -> None:
        steady = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 300)
        missing = bodies(rows)

        async def consume(transport: Transport) -> None:
            while missing:
                batch = await namespace.receive(transport)
                await namespace.settle(transport, batch)
                missing.difference_update(bodies(batch))

        async def come_and_go() -> None:
            for start in range(0, len(rows), 100):
                guest = await namespace.open(namespace.alpha)
                work = asyncio.ensure_future(consume(guest))
                await namespace.publish(guest, rows[start : start + 100])
                await asyncio.sleep(0.5)
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await guest.close()

        async with asyncio.timeout(self.patience * 2):
            await asyncio.gather(consume(steady), come_and_go())

    # --- life and death ------------------------------------------------------------------------------

    async def test_start_may_be_repeated_and_done_by_all_at_once(self, namespace: BrokerNamespace) -> None:
        alpha, beta = await asyncio.gather(namespace.open(namespace.alpha), namespace.open(namespace.beta))
        await asyncio.gather(alpha.start(), beta.start())
        rows = namespace.rows(namespace.one, 5)
        await namespace.publish(alpha, rows)
        for transport in (alpha, beta):
            assert len(await namespace.collect(transport, rows)) == len(rows)

    async def test_close_may_come_before_start_and_twice(self, namespace: BrokerNamespace) -> None:
        await namespace.new(namespace.alpha).close()
        alpha = await namespace.open(namespace.alpha)
        await alpha.close()
        await alpha.close()

"""What every transport must do with messages that are at fault, and with those that cannot be handled yet.

Part of `TransportConformance`, which provides the fixtures and the hooks.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from checkout import messages as m
from checkout.messages import PUBLIC
from inventory_service.service import SERVICE
from sagakit.envelope import Envelope, encode
from sagakit.modes.broker import BrokerMode
from sagakit.modes.styles import Choreography
from sagakit.ports import DeadDelivery, OutboxRow, Retry, RowsLocked, Transport
from sagakit.service import OutOfTurn
from sagakit.work import Execute, Item
from tests.modes.broker_namespace import ATTEMPTS, MADE, BrokerNamespace, bodies

MORE_THAN_ANY_BOUND = 4 * ATTEMPTS  # a broker may have a bound of its own, of twice the attempts


def envelope(subject: str) -> bytes:
    return encode(Envelope(m.OrderConfirmed(subject), "order"), PUBLIC)


GOOD = envelope("good")
POISON = {
    b"not an envelope",
    b"\xff\xfe\x00",
    b"[" * 1000 + b"]" * 1000,
    GOOD[:-1] + b',"more":' + b"[" * 1000 + b"]" * 1000 + b"}",
    GOOD[:-1] + b',"more":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
    GOOD.replace(b"1.0", b"9.9"),
}


class FakeInlet:
    """A service that answers at once; it remembers the subjects of items, and the dead letters."""

    def __init__(self, answer: Callable[[str], Any] = lambda subject: None) -> None:
        self.service, self._answer = SERVICE, answer
        self.subjects: list[str] = []
        self.dead_letters: list[tuple[bytes, str]] = []

    async def do_until_stored(self, items: Sequence[Item]) -> list[Any]:
        self.subjects += [item.subject for item in items]
        return [self._answer(item.subject) if isinstance(item, Execute) else None for item in items]

    async def dead_letter(self, body: bytes, cause: str, subject: str | None = None) -> None:
        self.dead_letters.append((body, cause))


class FaultConformance:
    """See the module; the fixtures are those of `TransportConformance`."""

    patience: float
    redelivery: float

    async def dead_letters(self, server: Any, consumer: str) -> list[tuple[bytes, str]]:
        raise NotImplementedError

    async def publish_as_a_stranger(self, server: Any, namespace: BrokerNamespace) -> int:
        """Put what our own `publish` never would into channel one; returns how many dead letters come of it."""
        raise NotImplementedError

    async def _dead(self, server: Any, consumer: str, how_many: int) -> list[tuple[bytes, str]]:
        deadline = time.monotonic() + self.patience
        while len(letters := await self.dead_letters(server, consumer)) < how_many:
            assert time.monotonic() < deadline, f"{len(letters)} dead letters instead of {how_many}"
            await asyncio.sleep(0.2)
        return letters

    def _rows(self, namespace: BrokerNamespace, bodies_: Sequence[bytes]) -> list[OutboxRow]:
        return [
            OutboxRow(f"{namespace.name}-{at}/{MADE}", namespace.one, namespace.name, MADE, one)
            for at, one in enumerate(bodies_)
        ]

    async def _consumed(
        self, transport: Transport, inlet: FakeInlet, met: Callable[[], bool], restarts: int = 0
    ) -> None:
        """Let a mode consume until `met`, while the broker is restarted so often; its loop must not end by itself."""
        mode = BrokerMode(Choreography(SERVICE), transport, frozenset(), ATTEMPTS)
        await mode.start(inlet)  # type: ignore[arg-type]
        loop = asyncio.create_task(mode.run())
        deadline = time.monotonic() + self.patience * (1 + restarts)
        try:
            while not met():
                assert not loop.done(), f"the consumer ended: {loop.exception()!r}"
                assert time.monotonic() < deadline, f"{inlet.subjects} {inlet.dead_letters}"
                await asyncio.sleep(0.05)
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    # --- not at fault --------------------------------------------------------------------------------

    async def test_a_failure_that_does_not_count_comes_again_for_as_long_as_it_takes(
        self, namespace: BrokerNamespace, server: Any
    ) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 3)
        await namespace.publish(alpha, rows)
        locked, *others = await namespace.hold(alpha, rows)
        attempts, neighbours, received = [locked.attempt], list[OutboxRow](), set[bytes]()
        await alpha.settle(others, [Retry(locked, counts=False)], [])
        began = time.monotonic()
        while len(attempts) < MORE_THAN_ANY_BOUND:
            assert time.monotonic() - began < self.patience, f"it came {len(attempts)} times"
            neighbours += (more := namespace.rows(namespace.one, 1))
            await namespace.publish(alpha, more)
            batch = await alpha.receive()
            again = [delivery for delivery in batch if delivery.body == locked.body]
            attempts += [delivery.attempt for delivery in again]
            received |= bodies(batch)
            done = [delivery for delivery in batch if delivery not in again]
            await alpha.settle(done, [Retry(delivery, counts=False) for delivery in again], [])
        assert set(attempts) == {locked.attempt}
        assert time.monotonic() - began > 2.5, "the pauses do not grow"
        assert len(received & bodies(neighbours)) > MORE_THAN_ANY_BOUND / 2, "neighbours waited"
        last = [row for row in rows if row.body == locked.body] + [
            row for row in neighbours if row.body not in received
        ]
        await namespace.collect(alpha, last)
        assert not await namespace.listen(alpha, self.redelivery + 1)
        assert not await self.dead_letters(server, namespace.alpha)

    async def test_what_is_kept_back_is_given_to_nobody_else_until_its_consumer_goes(
        self, namespace: BrokerNamespace
    ) -> None:
        first = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 10)
        await namespace.publish(first, rows)
        held = await namespace.hold(first, rows)
        await first.settle([], [Retry(one, counts=False) for one in held], [])
        again = await namespace.hold(first, rows)
        assert bodies(again) == bodies(held)
        await first.settle([], [Retry(one, counts=False) for one in again], [])
        await first.close()
        await namespace.collect(await namespace.open(namespace.alpha), rows)

    async def test_a_kept_delivery_that_then_fails_counts_from_there(
        self, namespace: BrokerNamespace, server: Any
    ) -> None:
        alpha = await namespace.open(namespace.alpha)
        rows = namespace.rows(namespace.one, 1)
        await namespace.publish(alpha, rows)
        (delivery,) = await namespace.hold(alpha, rows)
        await alpha.settle([], [Retry(delivery, counts=False)], [])
        (again,) = await namespace.hold(alpha, rows)
        await alpha.settle([], [], [DeadDelivery(again, "unknown version")])
        assert await self._dead(server, namespace.alpha, 1) == [(rows[0].body, "unknown version")]

    async def test_a_mode_lets_others_pass_a_message_whose_rows_are_locked(
        self, namespace: BrokerNamespace, server: Any
    ) -> None:
        alpha, tries = await namespace.open(namespace.alpha), list[str]()

        def answer(subject: str) -> Any:
            tries.append(subject)
            locked = subject == "locked" and tries.count("locked") < MORE_THAN_ANY_BOUND
            return RowsLocked(frozenset({subject})) if locked else None

        inlet = FakeInlet(answer)
        await namespace.publish(
            alpha, self._rows(namespace, [envelope("locked"), *(envelope(f"other-{n}") for n in range(20))])
        )
        await self._consumed(alpha, inlet, lambda: tries.count("locked") >= MORE_THAN_ANY_BOUND)
        assert {f"other-{n}" for n in range(20)} <= set(tries)
        assert inlet.dead_letters == []
        assert not await namespace.listen(alpha, self.redelivery + 1)

    # --- at fault ------------------------------------------------------------------------------------

    async def test_a_mode_makes_a_dead_letter_of_what_it_cannot_read_and_its_neighbours_go_on(
        self, namespace: BrokerNamespace, server: Any
    ) -> None:
        alpha, inlet = await namespace.open(namespace.alpha), FakeInlet()
        poison = sorted(POISON)
        mixed = [body for at, one in enumerate(poison) for body in (envelope(f"o{at}"), one)]
        await namespace.publish(alpha, self._rows(namespace, [*mixed, envelope("last")]))
        expected = {"last", *(f"o{at}" for at in range(len(poison)))}
        await self._consumed(
            alpha, inlet, lambda: expected <= set(inlet.subjects) and len(inlet.dead_letters) >= len(poison)
        )
        assert set(dict(inlet.dead_letters)) == POISON
        letters = await self._dead(server, namespace.alpha, len(poison))
        assert set(letters) == set(inlet.dead_letters)
        assert not await namespace.listen(alpha, self.redelivery + 1)

    async def test_a_mode_makes_a_dead_letter_of_what_fails_in_every_attempt(
        self, namespace: BrokerNamespace, server: Any
    ) -> None:
        alpha, failing = await namespace.open(namespace.alpha), envelope("failing")
        inlet = FakeInlet(lambda subject: OutOfTurn("always fails: ü") if subject == "failing" else None)
        await namespace.publish(alpha, self._rows(namespace, [failing, envelope("other")]))
        await self._consumed(alpha, inlet, lambda: bool(inlet.dead_letters) and "other" in inlet.subjects)
        assert inlet.subjects.count("failing") > 1, "it was not retried"
        assert inlet.dead_letters == [(failing, "always fails: ü")]
        assert await self._dead(server, namespace.alpha, 1) == inlet.dead_letters
        assert not await namespace.listen(alpha, self.redelivery + 1)

    async def test_a_strangers_messages_stop_nobody(self, namespace: BrokerNamespace, server: Any) -> None:
        alpha, inlet = await namespace.open(namespace.alpha), FakeInlet()
        await namespace.publish(alpha, self._rows(namespace, [envelope("before")]))
        strange = await self.publish_as_a_stranger(server, namespace)
        await namespace.publish(alpha, self._rows(namespace, [envelope("after")]))
        await self._consumed(
            alpha, inlet, lambda: {"before", "after"} <= set(inlet.subjects) and len(inlet.dead_letters) >= strange
        )
        await self._dead(server, namespace.alpha, strange)
        assert not await namespace.listen(alpha, self.redelivery + 1)


class BackstopConformance(FaultConformance):
    """For brokers that give up by themselves what was delivered too often and never settled."""

    async def deliver_too_often(self, server: Any, namespace: BrokerNamespace) -> None:
        """Receive alpha's message again and again without settling it, until the broker gives it up."""
        raise NotImplementedError

    async def test_what_the_broker_itself_gives_up_is_written_down_with_its_cause_once(
        self, namespace: BrokerNamespace, server: Any
    ) -> None:
        beta, row = await namespace.open(namespace.beta), self._rows(namespace, [GOOD])[0]
        await namespace.publish(beta, [row])
        await self.deliver_too_often(server, namespace)
        inlet, (more,) = FakeInlet(), self._rows(namespace, [envelope("neighbour")])
        await namespace.publish(beta, [more])
        alpha = namespace.new(namespace.alpha)
        await self._consumed(alpha, inlet, lambda: bool(inlet.dead_letters) and "neighbour" in inlet.subjects)
        ((body, cause),) = inlet.dead_letters
        assert body == GOOD
        assert "gave it up" in cause
        assert await self._dead(server, namespace.alpha, 1) == [(GOOD, cause)]
        again = FakeInlet()
        await self._consumed(await namespace.open(namespace.alpha), again, await _quiet(self.redelivery))
        assert not again.dead_letters, "it is handed over once"


async def _quiet(seconds: float) -> Callable[[], bool]:
    """A condition that is met once `seconds` have passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end

"""A mode over a broker: what is acknowledged, what comes again, and what is given up."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from checkout import messages as m
from checkout.messages import PUBLIC
from inventory_service.service import SERVICE
from sagakit.broker import BrokerMode
from sagakit.door import Do, HandlerFailed, Item
from sagakit.envelope import Envelope, encode
from sagakit.ports import Delivery, Failure, Outgoing, StoreUnavailable
from sagakit.styles import Choreography

CONFIRMED = [Delivery(encode(Envelope(m.OrderConfirmed(f"o{number}"), "order"), PUBLIC)) for number in range(3)]
FOREIGN = Delivery(encode(Envelope(m.PaymentCaptured("o9"), "payment"), PUBLIC))
POISON = Delivery(b"{not an envelope")


class FakeTransport:
    """Hands out one batch, then waits for ever; remembers what was settled."""

    def __init__(self, *batch: Delivery) -> None:
        self._batches = [list(batch)]
        self.done: list[Delivery] = []
        self.failed: list[Failure] = []
        self.published: list[Outgoing] = []
        self.settled = asyncio.Event()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, rows: Sequence[Outgoing]) -> None:
        self.published += rows

    async def receive(self) -> Sequence[Delivery]:
        if self._batches:
            return self._batches.pop()
        await asyncio.Event().wait()
        raise AssertionError("waits for ever")

    async def settle(self, done: Sequence[Delivery], failed: Sequence[Failure]) -> None:
        self.done += done
        self.failed += failed
        self.settled.set()


class FakeParticipant:
    """A door that answers when it is told to."""

    def __init__(self, answer: Any = None) -> None:
        self.service = SERVICE
        self.answer = answer
        self.entered = asyncio.Event()
        self.committed = asyncio.Event()
        self.asked: list[Item] = []
        self.buried: list[str] = []
        self.unwritable = False
        self.readmit: Any = None

    async def insist(self, items: Sequence[Item]) -> list[Any]:
        self.asked += items
        self.entered.set()
        await self.committed.wait()
        return [self.answer(item) if callable(self.answer) else self.answer for item in items]

    async def bury(self, body: bytes, cause: str, subject: str | None = None) -> None:
        if self.unwritable:
            raise StoreUnavailable("stopping")
        self.buried.append(cause)


async def started(transport: FakeTransport, door: FakeParticipant) -> tuple[BrokerMode, asyncio.Task[None]]:
    mode = BrokerMode(Choreography(SERVICE), transport, frozenset({"known"}), attempts=3)
    await mode.start(door)  # type: ignore[arg-type]
    return mode, asyncio.create_task(mode.run())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.done()


async def test_nothing_is_acknowledged_before_it_is_committed() -> None:
    transport, door = FakeTransport(*CONFIRMED), FakeParticipant()
    _, task = await started(transport, door)
    await door.entered.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not transport.settled.is_set()
    assert transport.done == []
    door.committed.set()
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == CONFIRMED
    await ended(task)


async def test_what_was_not_committed_when_the_service_stops_is_not_acknowledged() -> None:
    transport, door = FakeTransport(*CONFIRMED), FakeParticipant(StoreUnavailable("down"))
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert (transport.done, transport.failed) == ([], [])
    await ended(task)


async def test_a_stop_finishes_the_batch_in_hand() -> None:
    transport, door = FakeTransport(*CONFIRMED), FakeParticipant()
    _, task = await started(transport, door)
    await door.entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    door.committed.set()
    await asyncio.wait({task}, timeout=5)
    assert transport.done == CONFIRMED


async def test_poison_is_written_down_and_its_neighbours_go_on() -> None:
    transport, door = FakeTransport(CONFIRMED[0], POISON, FOREIGN, CONFIRMED[1]), FakeParticipant()
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert sorted(delivery.body for delivery in transport.done) == sorted(
        delivery.body for delivery in (CONFIRMED[0], CONFIRMED[1], FOREIGN)
    )
    assert [(failure.delivery, failure.poison) for failure in transport.failed] == [(POISON, True)]
    assert len(door.buried) == 1
    assert "not a CloudEvent" in door.buried[0]
    await ended(task)


async def test_poison_that_could_not_be_written_down_is_left_to_the_broker_and_its_neighbours_are_not() -> None:
    transport, door = FakeTransport(CONFIRMED[0], POISON), FakeParticipant()
    door.unwritable = True
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert (transport.done, transport.failed) == ([CONFIRMED[0]], [])
    await ended(task)


@pytest.mark.parametrize(("attempt", "buried"), [(1, 0), (2, 0), (3, 1)])
async def test_a_handlers_failure_comes_again_until_it_is_given_up(attempt: int, buried: int) -> None:
    def answer(item: Item) -> Any:
        return HandlerFailed(item, ValueError("a bug"))

    failing = Delivery(CONFIRMED[0].body, attempt=attempt)
    transport, door = FakeTransport(failing), FakeParticipant(answer)
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == []
    assert [failure.delivery for failure in transport.failed] == [failing]
    assert len(door.buried) == buried
    await ended(task)


async def test_a_delivery_asks_the_door_for_the_services_own_command_and_names_its_cause() -> None:
    transport, door = FakeTransport(CONFIRMED[0]), FakeParticipant()
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert door.asked == [Do(m.CommitStock("o0"), "o0/OrderConfirmed", None)]
    await ended(task)


async def test_rows_of_another_mode_are_dropped_not_published() -> None:
    transport, door = FakeTransport(), FakeParticipant()
    mode, task = await started(transport, door)
    rows = [Outgoing(f"o/{channel}", channel, "o", "X", b"") for channel in ("known", "unknown")]
    await mode.publish(rows)
    assert transport.published == rows[:1]
    await ended(task)


async def test_a_dead_letter_can_be_handed_to_the_door_again() -> None:
    door = FakeParticipant()
    door.committed.set()
    _, task = await started(FakeTransport(), door)
    assert await door.readmit(CONFIRMED[0].body) is None
    assert "not a CloudEvent" in await door.readmit(POISON.body)
    door.answer = lambda item: HandlerFailed(item, ValueError("still a bug"))
    assert "still a bug" in await door.readmit(CONFIRMED[1].body)
    await ended(task)

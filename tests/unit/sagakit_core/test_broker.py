"""A mode over a broker: what is acknowledged, what comes again, and what is given up."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from checkout import messages as m
from checkout.messages import PUBLIC
from inventory_service.service import SERVICE
from sagakit.envelope import Envelope, encode
from sagakit.modes.broker import CAUSE, BrokerMode, cause_of
from sagakit.modes.styles import Choreography, Style
from sagakit.ports import Delivery, Failure, OutboxRow, RowsLocked, StoreUnavailable
from sagakit.service import OutOfTurn
from sagakit.work import Execute, HandlerFailed, Item

CONFIRMED = [Delivery(encode(Envelope(m.OrderConfirmed(f"o{number}"), "order"), PUBLIC)) for number in range(3)]
FOREIGN = Delivery(encode(Envelope(m.PaymentCaptured("o9"), "payment"), PUBLIC))
POISON = Delivery(b"{not an envelope")
NESTED = Delivery(CONFIRMED[2].body[:-1] + b',"more":' + b"[" * 1000 + b"]" * 1000 + b"}")
CHOREOGRAPHY = Choreography(SERVICE)


class FakeTransport:
    """Hands out one batch, then waits for ever; remembers what was settled."""

    def __init__(self, *batch: Delivery) -> None:
        self._batches = [list(batch)]
        self.done: list[Delivery] = []
        self.failed: list[Failure] = []
        self.published: list[OutboxRow] = []
        self.settled = asyncio.Event()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
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


class FakeInlet:
    """A door that answers when it is told to."""

    def __init__(self, answer: Any = None) -> None:
        self.service = SERVICE
        self.answer = answer
        self.entered = asyncio.Event()
        self.committed = asyncio.Event()
        self.asked: list[Item] = []
        self.buried: list[str] = []
        self.subjects: list[str | None] = []
        self.unwritable = False
        self.unheard: set[str] = set()
        self.redeliver: Any = None

    async def do_until_stored(self, items: Sequence[Item]) -> list[Any]:
        if any(item.subject in self.unheard for item in items):
            raise LookupError("no handler")
        self.asked += items
        self.entered.set()
        await self.committed.wait()
        return [self.answer(item) if callable(self.answer) else self.answer for item in items]

    async def dead_letter(self, body: bytes, cause: str, subject: str | None = None) -> None:
        if self.unwritable:
            raise ValueError("no store can hold it")
        self.buried.append(cause)
        self.subjects.append(subject)


class FailingReaction(Choreography):
    """A table of reactions with a bug for one order."""

    def accept(self, envelope: Envelope) -> Item | None:
        if envelope.message.subject == "o1":
            raise KeyError("o1")
        return super().accept(envelope)


async def started(
    transport: FakeTransport, door: FakeInlet, style: Style = CHOREOGRAPHY
) -> tuple[BrokerMode, asyncio.Task[None]]:
    mode = BrokerMode(style, transport, frozenset({"known"}), attempts=3)
    door.redeliver = await mode.start(door)  # type: ignore[arg-type]
    return mode, asyncio.create_task(mode.run())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.done()


async def test_nothing_is_acknowledged_before_it_is_committed() -> None:
    transport, door = FakeTransport(*CONFIRMED), FakeInlet()
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
    transport, door = FakeTransport(*CONFIRMED), FakeInlet(StoreUnavailable("down"))
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert (transport.done, transport.failed) == ([], [])
    await ended(task)


async def test_a_stop_finishes_the_batch_in_hand() -> None:
    transport, door = FakeTransport(*CONFIRMED), FakeInlet()
    _, task = await started(transport, door)
    await door.entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    door.committed.set()
    await asyncio.wait({task}, timeout=5)
    assert transport.done == CONFIRMED


async def test_poison_is_written_down_and_its_neighbours_go_on() -> None:
    transport, door = FakeTransport(CONFIRMED[0], POISON, FOREIGN, CONFIRMED[1]), FakeInlet()
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


@pytest.mark.parametrize(
    ("poison", "why"),
    [
        (NESTED, "not a CloudEvent: maximum recursion depth"),
        (Delivery(b""), "not a CloudEvent"),
        (Delivery(b'{"unreadable": "topic/0/7"}', broken="Invalid CRC"), "Invalid CRC"),
        (Delivery(CONFIRMED[0].body, broken="Invalid CRC"), "Invalid CRC"),
        (Delivery(CONFIRMED[1].body), "KeyError in FailingReaction."),
    ],
)
async def test_whatever_a_message_raises_is_its_own_fault(poison: Delivery, why: str) -> None:
    transport, door = FakeTransport(CONFIRMED[0], poison, CONFIRMED[2]), FakeInlet()
    door.committed.set()
    _, task = await started(transport, door, FailingReaction(SERVICE))
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0], CONFIRMED[2]]
    ((failure,), (cause,)) = transport.failed, door.buried
    assert (failure.delivery, failure.poison, failure.cause) == (poison, True, cause)
    assert why in cause
    await ended(task)


async def test_an_item_that_the_door_will_not_even_take_fails_alone() -> None:
    transport, door = FakeTransport(*CONFIRMED), FakeInlet()
    door.committed.set()
    door.unheard.add("o1")
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0], CONFIRMED[2]]
    assert transport.failed == [Failure(CONFIRMED[1], transport.failed[0].cause, poison=False)]
    assert transport.failed[0].cause.startswith("LookupError in FakeInlet.")
    await ended(task)


@pytest.mark.parametrize("attempt", [1, 99])
async def test_a_message_whose_rows_are_locked_is_not_at_fault_however_often_it_came(attempt: int) -> None:
    locked = Delivery(CONFIRMED[1].body, attempt=attempt)
    transport = FakeTransport(CONFIRMED[0], locked)
    door = FakeInlet(lambda item: RowsLocked(frozenset({"o1"})) if item.subject == "o1" else None)
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0]]
    assert transport.failed == [Failure(locked, "rows of o1 are locked", poison=False, counts=False)]
    assert door.buried == []
    await ended(task)


async def test_a_bug_of_an_unknown_kind_counts_as_a_failure_and_names_the_subject_of_what_is_given_up() -> None:
    transport, door = FakeTransport(Delivery(CONFIRMED[1].body, attempt=3)), FakeInlet(KeyError("a bug"))
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert [failure.counts for failure in transport.failed] == [True]
    assert (door.buried, door.subjects) == (["KeyError"], ["o1"])
    await ended(task)


async def test_a_dead_letter_that_cannot_be_written_comes_again_and_stops_nobody() -> None:
    transport, door = FakeTransport(CONFIRMED[0], POISON), FakeInlet()
    door.committed.set()
    door.unwritable = True
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0]]
    assert [(one.delivery, one.poison, one.counts) for one in transport.failed] == [(POISON, False, False)]
    await ended(task)


def test_a_cause_is_short_text_that_any_store_and_broker_can_carry() -> None:
    error = StoreUnavailable("\0 and \ud800 and " + "x" * 100_000)
    cause = cause_of(error)
    assert cause.startswith("? and ? and xxx")
    assert len(cause) == CAUSE
    assert cause.encode().decode() == cause


@pytest.mark.parametrize(("attempt", "buried"), [(1, 0), (2, 0), (3, 1)])
async def test_a_handlers_failure_comes_again_until_it_is_given_up(attempt: int, buried: int) -> None:
    def answer(item: Item) -> Any:
        return HandlerFailed(item, ValueError("a bug"))

    failing = Delivery(CONFIRMED[0].body, attempt=attempt)
    transport, door = FakeTransport(failing), FakeInlet(answer)
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == []
    assert [failure.delivery for failure in transport.failed] == [failing]
    assert len(door.buried) == buried
    await ended(task)


async def test_a_delivery_asks_the_door_for_the_services_own_command_and_names_its_cause() -> None:
    transport, door = FakeTransport(CONFIRMED[0]), FakeInlet()
    door.committed.set()
    _, task = await started(transport, door)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert door.asked == [Execute(m.CommitStock("o0"), "o0/OrderConfirmed", None)]
    await ended(task)


async def test_rows_of_another_mode_are_dropped_not_published() -> None:
    transport, door = FakeTransport(), FakeInlet()
    mode, task = await started(transport, door)
    rows = [OutboxRow(f"o/{channel}", channel, "o", "X", b"") for channel in ("known", "unknown")]
    await mode.publish(rows)
    assert transport.published == rows[:1]
    await ended(task)


async def test_a_dead_letter_can_be_handed_to_the_door_again() -> None:
    door = FakeInlet()
    door.committed.set()
    _, task = await started(FakeTransport(), door)
    assert await door.redeliver(CONFIRMED[0].body) is None
    assert "not a CloudEvent" in await door.redeliver(POISON.body)
    door.answer = lambda item: HandlerFailed(item, OutOfTurn("still a bug"))
    assert "CommitStock: still a bug" in await door.redeliver(CONFIRMED[1].body)
    door.answer = LookupError("no handler")
    assert await door.redeliver(CONFIRMED[1].body) == "LookupError"
    await ended(task)

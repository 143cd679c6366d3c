"""A mode over a broker: what is acknowledged, what is retried, and what becomes a dead letter."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checkout import messages as m
from checkout.messages import PUBLIC
from inventory_service.service import SERVICE
from sagakit.envelope import Envelope, encode
from sagakit.modes.broker import BrokerMode
from sagakit.modes.failures import CAUSE, cause_of
from sagakit.modes.styles import Choreography, Style
from sagakit.ports import DeadDelivery, Delivery, OutboxRow, Retry, RowsLocked, StoreUnavailable
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
        self.retry: list[Retry] = []
        self.dead: list[DeadDelivery] = []
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

    async def settle(self, done: Sequence[Delivery], retry: Sequence[Retry], dead: Sequence[DeadDelivery]) -> None:
        self.done += done
        self.retry += retry
        self.dead += dead
        self.settled.set()


class FakeInlet:
    """An Inlet that answers once `committed` is set."""

    def __init__(self, answer: Any = None) -> None:
        self.service = SERVICE
        self.answer = answer
        self.entered = asyncio.Event()
        self.committed = asyncio.Event()
        self.items: list[Item] = []
        self.dead_letters: list[str] = []
        self.subjects: list[str | None] = []
        self.unwritable = False
        self.refused: set[str] = set()
        self.redeliver: Any = None

    async def do_until_stored(self, items: Sequence[Item]) -> list[Any]:
        if any(item.subject in self.refused for item in items):
            raise LookupError("no handler")
        self.items += items
        self.entered.set()
        await self.committed.wait()
        return [self.answer(item) if callable(self.answer) else self.answer for item in items]

    async def dead_letter(self, body: bytes, cause: str, subject: str | None = None) -> None:
        if self.unwritable:
            raise ValueError("no store can hold it")
        self.dead_letters.append(cause)
        self.subjects.append(subject)


class FailingReaction(Choreography):
    """A table of reactions with a bug for one order."""

    def accept(self, envelope: Envelope) -> Item | None:
        if envelope.message.subject == "o1":
            raise KeyError("o1")
        return super().accept(envelope)


async def started(
    transport: FakeTransport, inlet: FakeInlet, style: Style = CHOREOGRAPHY
) -> tuple[BrokerMode, asyncio.Task[None]]:
    mode = BrokerMode(style, transport, frozenset({"known"}), attempts=3)
    inlet.redeliver = await mode.start(inlet)  # type: ignore[arg-type]
    return mode, asyncio.create_task(mode.run())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.done()


async def test_nothing_is_acknowledged_before_it_is_committed() -> None:
    transport, inlet = FakeTransport(*CONFIRMED), FakeInlet()
    _, task = await started(transport, inlet)
    await inlet.entered.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not transport.settled.is_set()
    assert transport.done == []
    inlet.committed.set()
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == CONFIRMED
    await ended(task)


async def test_what_was_not_committed_when_the_service_stops_is_not_acknowledged() -> None:
    transport, inlet = FakeTransport(*CONFIRMED), FakeInlet(StoreUnavailable("down"))
    inlet.committed.set()
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert (transport.done, transport.retry, transport.dead) == ([], [], [])
    await ended(task)


async def test_a_stop_finishes_the_batch_in_hand() -> None:
    transport, inlet = FakeTransport(*CONFIRMED), FakeInlet()
    _, task = await started(transport, inlet)
    await inlet.entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    inlet.committed.set()
    await asyncio.wait({task}, timeout=5)
    assert transport.done == CONFIRMED


async def test_poison_is_written_down_and_its_neighbours_go_on() -> None:
    transport, inlet = FakeTransport(CONFIRMED[0], POISON, FOREIGN, CONFIRMED[1]), FakeInlet()
    inlet.committed.set()
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert sorted(delivery.body for delivery in transport.done) == sorted(
        delivery.body for delivery in (CONFIRMED[0], CONFIRMED[1], FOREIGN)
    )
    assert transport.retry == []
    ((letter,), (cause,)) = transport.dead, inlet.dead_letters
    assert letter == DeadDelivery(POISON, cause)
    assert "not a CloudEvent" in cause
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
    transport, inlet = FakeTransport(CONFIRMED[0], poison, CONFIRMED[2]), FakeInlet()
    inlet.committed.set()
    _, task = await started(transport, inlet, FailingReaction(SERVICE))
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0], CONFIRMED[2]]
    ((letter,), (cause,)) = transport.dead, inlet.dead_letters
    assert letter == DeadDelivery(poison, cause)
    assert why in cause
    await ended(task)


async def test_an_item_over_which_asking_raises_fails_alone() -> None:
    transport, inlet = FakeTransport(*CONFIRMED), FakeInlet()
    inlet.committed.set()
    inlet.refused.add("o1")
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0], CONFIRMED[2]]
    assert (transport.retry, transport.dead) == ([Retry(CONFIRMED[1])], [])
    await ended(task)


@pytest.mark.parametrize("attempt", [1, 99])
async def test_a_message_whose_rows_are_locked_is_not_at_fault_however_often_it_came(attempt: int) -> None:
    locked = Delivery(CONFIRMED[1].body, attempt=attempt)
    transport = FakeTransport(CONFIRMED[0], locked)
    inlet = FakeInlet(lambda item: RowsLocked(frozenset({"o1"})) if item.subject == "o1" else None)
    inlet.committed.set()
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0]]
    assert transport.retry == [Retry(locked, counts=False)]
    assert (transport.dead, inlet.dead_letters) == ([], [])
    await ended(task)


async def test_an_unknown_error_counts_as_a_failure_and_its_dead_letter_names_the_subject() -> None:
    transport, inlet = FakeTransport(Delivery(CONFIRMED[1].body, attempt=3)), FakeInlet(KeyError("a bug"))
    inlet.committed.set()
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert [letter.cause for letter in transport.dead] == ["KeyError"]
    assert (inlet.dead_letters, inlet.subjects) == (["KeyError"], ["o1"])
    await ended(task)


async def test_a_dead_letter_that_cannot_be_written_comes_again_and_stops_nobody() -> None:
    transport, inlet = FakeTransport(CONFIRMED[0], POISON), FakeInlet()
    inlet.committed.set()
    inlet.unwritable = True
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == [CONFIRMED[0]]
    assert (transport.retry, transport.dead) == ([Retry(POISON, counts=False)], [])
    await ended(task)


def test_a_cause_is_short_text_that_any_store_and_broker_can_carry() -> None:
    error = StoreUnavailable("\0 and \ud800 and " + "x" * 100_000)
    cause = cause_of(error)
    assert cause.startswith("? and ? and xxx")
    assert len(cause) == CAUSE
    assert cause.encode().decode() == cause


@pytest.mark.parametrize(("attempt", "buried"), [(1, 0), (2, 0), (3, 1)])
async def test_a_message_whose_handler_fails_is_retried_until_the_attempts_are_exhausted(
    attempt: int, buried: int
) -> None:
    def answer(item: Item) -> Any:
        return HandlerFailed(item, ValueError("a bug"))

    failing = Delivery(CONFIRMED[0].body, attempt=attempt)
    transport, inlet = FakeTransport(failing), FakeInlet(answer)
    inlet.committed.set()
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert transport.done == []
    assert transport.retry == ([] if buried else [Retry(failing)])
    assert len(transport.dead) == len(inlet.dead_letters) == buried
    await ended(task)


async def test_a_delivery_asks_for_the_services_own_command_and_names_its_cause() -> None:
    transport, inlet = FakeTransport(CONFIRMED[0]), FakeInlet()
    inlet.committed.set()
    _, task = await started(transport, inlet)
    await asyncio.wait_for(transport.settled.wait(), 5)
    assert inlet.items == [Execute(m.CommitStock("o0"), "o0/OrderConfirmed", None)]
    await ended(task)


async def test_rows_of_another_mode_are_dropped_not_published() -> None:
    transport, inlet = FakeTransport(), FakeInlet()
    mode, task = await started(transport, inlet)
    rows = [OutboxRow(f"o/{channel}", channel, "o", "X", b"") for channel in ("known", "unknown")]
    await mode.publish(rows)
    assert transport.published == rows[:1]
    await ended(task)


async def test_a_dead_letter_can_be_redelivered() -> None:
    inlet = FakeInlet()
    inlet.committed.set()
    _, task = await started(FakeTransport(), inlet)
    assert await inlet.redeliver(CONFIRMED[0].body) is None
    assert "not a CloudEvent" in await inlet.redeliver(POISON.body)
    inlet.answer = lambda item: HandlerFailed(item, OutOfTurn("still a bug"))
    assert "CommitStock: still a bug" in await inlet.redeliver(CONFIRMED[1].body)
    inlet.answer = LookupError("no handler")
    assert await inlet.redeliver(CONFIRMED[1].body) == "LookupError"
    await ended(task)


async def test_the_lag_is_the_age_of_the_first_message_that_can_be_read() -> None:
    sent = datetime.now(UTC) - timedelta(seconds=20)
    late = Delivery(encode(Envelope(m.OrderConfirmed("o1"), "order", time=sent), PUBLIC))
    transport, inlet = FakeTransport(late, CONFIRMED[0]), FakeInlet()
    inlet.committed.set()
    mode, task = await started(transport, inlet)
    assert mode.lag() == 0
    await transport.settled.wait()
    assert 20 <= mode.lag() < 60
    mode._measure(POISON)
    assert 20 <= mode.lag() < 60
    await ended(task)

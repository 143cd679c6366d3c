"""What a process remembers of its work besides the journal, and what it tells those who follow."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from checkout.messages import CancelOrder, ConfirmOrder, OrderCancelled, OrderConfirmed, StockReserved
from checkout.saga import PHASES
from sagakit import activity
from sagakit.activity import Activity, Observation
from sagakit.provider import OutcomeUnknown, ProviderCall
from sagakit.telemetry import Metrics
from sagakit.work import Continue, Execute, Nudge
from tests.service_process import basket
from tests.waits import until

CONFIRM = Execute(ConfirmOrder("o1"), "o1/ShipmentBooked", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
CONFIRMED = OrderConfirmed("o1")


def seen(record: Activity, subject: str = "o1") -> list[tuple[str, str, str | None]]:
    return [(one.kind, one.message, one.outcome) for one in record.of(subject)]


def test_a_new_command_is_left_to_the_inbox() -> None:
    record = Activity(PHASES)
    record.handled([CONFIRM], [CONFIRMED], {"o1/ConfirmOrder"})
    assert seen(record) == []


def test_a_duplicate_is_remembered_and_counted_also_within_one_batch() -> None:
    metrics = Metrics()
    record = Activity(PHASES, metrics)
    record.handled([CONFIRM, CONFIRM], [CONFIRMED, CONFIRMED], {"o1/ConfirmOrder"})
    record.handled([CONFIRM], [CONFIRMED], set())
    assert seen(record) == [("duplicate", "ConfirmOrder", "OrderConfirmed")] * 2
    assert record.of("o1")[0].traceparent == CONFIRM.traceparent
    assert metrics.registry.get_sample_value("saga_inbox_hits_total", {"name": "ConfirmOrder"}) == 2


def test_a_nudge_is_remembered_and_a_continued_saga_is_not() -> None:
    record = Activity(PHASES)
    record.handled([Nudge("o1"), Continue(StockReserved("o1", basket()))], [CONFIRMED, None], set())
    assert seen(record) == [("nudge", "", "OrderConfirmed")]


@pytest.mark.parametrize(
    ("command", "decision", "lost"),
    [
        (ConfirmOrder("o1"), OrderConfirmed("o1"), False),
        (ConfirmOrder("o1"), OrderCancelled("o1", "TIMED_OUT"), True),
        (CancelOrder("o1", "TIMED_OUT"), OrderConfirmed("o1"), True),
        (CancelOrder("o1", "TIMED_OUT"), OrderCancelled("o1", "TIMED_OUT"), False),
        (CancelOrder("o1", "TIMED_OUT"), OrderCancelled("o1", "CUSTOMER_REQUESTED"), True),
    ],
)
def test_a_command_that_competed_and_did_not_get_its_decision_has_lost(
    command: ConfirmOrder | CancelOrder, decision: OrderConfirmed | OrderCancelled, lost: bool
) -> None:
    record = Activity(PHASES)
    record.handled([Execute(command)], [decision], set())
    assert [one.lost for one in record.of("o1")] == [lost]


def test_every_attempt_at_a_call_is_remembered_with_its_outcome() -> None:
    record, call = Activity(), ProviderCall("o1/authorize", "payment", "authorize", {})
    record.called(call, 1, OutcomeUnknown("o1/authorize: TimeoutError"), 2.0)
    record.called(call, 2, "ok", 0.25)
    first, second = record.of("o1")
    assert (first.kind, first.message, first.attempt, first.seconds) == ("call", "authorize", 1, 2.0)
    assert (first.outcome, first.detail) == ("unknown", "o1/authorize: TimeoutError")
    assert (second.outcome, second.attempt) == ("ok", 2)


def test_the_memory_is_bounded_and_says_since_when_it_is_complete() -> None:
    now = iter(range(100))
    record = Activity(clock=lambda: float(next(now)), kept=3)
    assert record.since == 0.0
    for number in range(5):
        record.unpublished(f"o{number}", "OrderPlaced", 1, ConnectionError())
    assert [len(record.of(f"o{number}")) for number in range(5)] == [0, 0, 1, 1, 1]
    assert record.since == 2.0


async def _next(stream: AsyncGenerator[Sequence[Observation], None]) -> Sequence[Observation]:
    async with asyncio.timeout(5):
        return await anext(stream)


async def test_a_follower_is_told_everything_and_of_too_much_how_much_it_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(activity, "PACE", 0.01)
    record = Activity(PHASES)
    stream = record.follow()
    first = asyncio.ensure_future(_next(stream))
    await until(lambda: record.followed)
    record.handled([CONFIRM], [CONFIRMED], {"o1/ConfirmOrder"})
    (told,) = await first
    assert (told.kind, told.message, told.cause, told.outcome) == (
        "command",
        "ConfirmOrder",
        "o1/ShipmentBooked",
        "OrderConfirmed",
    )
    for _ in range(activity.ROOM + 7):
        record.handled([Nudge("o1")], [CONFIRMED], set())
    record.handled([CONFIRM], [CONFIRMED], {"o1/ConfirmOrder"})  # nobody has room for it
    group = await _next(stream)
    assert {one.kind for one in group[:-1]} == {"nudge"}
    assert (group[-1].kind, group[-1].count) == ("skipped", 8)
    await stream.aclose()
    record.handled([CONFIRM], [CONFIRMED], {"o1/ConfirmOrder"})
    assert len(record.of("o1")) == activity.ROOM + 7

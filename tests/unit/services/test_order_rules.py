"""The order: one pivot, three answers, and what it owes."""

import pytest
from msgspec.structs import replace

from checkout import messages as m
from order_service.domain import DisownOrder, Order, PaymentSettled, ShipmentSettled, StockSettled, owed, undecided
from order_service.service import SERVICE
from sagakit.message import Command, Event
from tests.unit.services.given import CHECKOUT, ORDER, expect, expect_bug, given

NEW = Order(ORDER)
PLACED = m.OrderPlaced(ORDER, CHECKOUT, "key", "digest")
CONFIRMED, CANCELLED = m.OrderConfirmed(ORDER), m.OrderCancelled(ORDER, "OUT_OF_STOCK")
PENDING = given(SERVICE, NEW, PLACED)
ANSWERS: list[tuple[Command, Event]] = [
    (m.RecordStockSettled(ORDER), StockSettled(ORDER)),
    (m.RecordPaymentSettled(ORDER), PaymentSettled(ORDER)),
    (m.RecordShipmentSettled(ORDER), ShipmentSettled(ORDER)),
]


def test_a_placed_order_is_pending_and_keeps_its_checkout_and_key() -> None:
    order = expect(SERVICE, NEW, m.PlaceOrder(ORDER, "key", "digest", CHECKOUT), PLACED)
    assert order == Order(ORDER, "PENDING", None, "key", "digest", CHECKOUT)
    assert not order.decided


def test_an_order_is_placed_once() -> None:
    expect_bug(SERVICE, PENDING, m.PlaceOrder(ORDER, "key", "digest", CHECKOUT), "placed already")


def test_the_last_hold_confirms_a_pending_order() -> None:
    assert expect(SERVICE, PENDING, m.ConfirmOrder(ORDER), CONFIRMED).status == "CONFIRMED"


@pytest.mark.parametrize(
    "reason", ["OUT_OF_STOCK", "PAYMENT_DECLINED", "SHIPPING_UNAVAILABLE", "TIMED_OUT", "CUSTOMER_REQUESTED"]
)
def test_a_pending_order_can_be_cancelled_for_every_reason(reason: str) -> None:
    order = expect(SERVICE, PENDING, m.CancelOrder(ORDER, reason), m.OrderCancelled(ORDER, reason))
    assert (order.status, order.cancellation_reason, order.settled) == ("CANCELLED", reason, False)


@pytest.mark.parametrize("command", [m.ConfirmOrder(ORDER), m.CancelOrder(ORDER, "TIMED_OUT")])
@pytest.mark.parametrize("decision", [CONFIRMED, CANCELLED])
def test_a_command_after_the_decision_is_answered_with_it_and_changes_nothing(
    command: Command, decision: Event
) -> None:
    decided = given(SERVICE, PENDING, decision)
    assert expect(SERVICE, decided, command, decision) == decided


def test_a_completed_order_still_answers_that_it_was_confirmed() -> None:
    completed = given(SERVICE, PENDING, CONFIRMED, m.OrderCompleted(ORDER))
    assert expect(SERVICE, completed, m.CancelOrder(ORDER, "CUSTOMER_REQUESTED"), CONFIRMED) == completed


@pytest.mark.parametrize("command", [m.ConfirmOrder(ORDER), m.CancelOrder(ORDER, "TIMED_OUT")])
def test_an_order_that_does_not_exist_cannot_be_decided(command: Command) -> None:
    expect_bug(SERVICE, NEW, command, "unknown")


@pytest.mark.parametrize("first", range(3))
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("decision", "last", "status"),
    [
        (CONFIRMED, m.OrderCompleted(ORDER), "COMPLETED"),
        (CANCELLED, m.CancellationSettled(ORDER), "CANCELLED"),
    ],
)
def test_the_third_settlement_settles_the_order_in_any_sequence(
    first: int, backwards: bool, decision: Event, last: Event, status: str
) -> None:
    order = given(SERVICE, PENDING, decision)
    answers = ANSWERS[first:] + ANSWERS[:first]
    if backwards:
        answers.reverse()
    for command, event in answers[:2]:
        order = expect(SERVICE, order, command, event)
        assert not order.settled
        assert order.status != "COMPLETED"
    order = expect(SERVICE, order, answers[2][0], last)
    assert (order.status, order.settled) == (status, True)


@pytest.mark.parametrize("command", [command for command, _ in ANSWERS])
def test_a_settlement_before_the_decision_or_a_second_one_is_a_bug(command: Command) -> None:
    expect_bug(SERVICE, PENDING, command, "expects no such answer")
    done = replace(given(SERVICE, PENDING, CONFIRMED, m.OrderCompleted(ORDER)))
    expect_bug(SERVICE, done, command, "expects no such answer")


def test_an_unsettled_order_owes_the_event_that_participants_may_have_missed() -> None:
    assert owed(NEW) is None
    assert owed(PENDING) == PLACED
    assert owed(given(SERVICE, PENDING, CONFIRMED)) == CONFIRMED
    assert owed(given(SERVICE, PENDING, CANCELLED, StockSettled(ORDER))) == CANCELLED


@pytest.mark.parametrize("events", [(CONFIRMED, m.OrderCompleted(ORDER)), (CANCELLED, m.CancellationSettled(ORDER))])
def test_a_settled_order_owes_nothing(events: tuple[Event, ...]) -> None:
    assert owed(given(SERVICE, PENDING, *events)) is None


def test_holds_go_on_only_while_the_order_owes_that_it_was_placed() -> None:
    assert undecided(PLACED)
    assert not undecided(CONFIRMED)
    assert not undecided(CANCELLED)


def test_an_event_of_another_service_is_a_bug() -> None:
    with pytest.raises(TypeError, match="StockReserved"):
        SERVICE.evolve(NEW, m.StockReserved(ORDER, CHECKOUT))


def test_an_order_that_was_never_placed_is_disowned_and_owes_that_it_is_cancelled() -> None:
    told = m.OrderCancelled(ORDER, "UNKNOWN_ORDER")
    disowned = expect(SERVICE, NEW, DisownOrder(ORDER), told)
    assert (disowned.status, disowned.checkout, disowned.settled) == ("CANCELLED", None, False)
    assert owed(disowned) == told
    assert expect(SERVICE, disowned, m.ConfirmOrder(ORDER), told) == disowned


def test_an_order_that_was_disowned_cannot_be_placed() -> None:
    told = m.OrderCancelled(ORDER, "UNKNOWN_ORDER")
    disowned = given(SERVICE, NEW, told)
    assert expect(SERVICE, disowned, m.PlaceOrder(ORDER, "key", "digest", CHECKOUT), told) == disowned


def test_an_order_that_was_placed_is_not_disowned() -> None:
    expect_bug(SERVICE, PENDING, DisownOrder(ORDER), "has been placed")

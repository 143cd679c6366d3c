"""A shipment: every call is requested first, and what is in doubt is undone."""

import pytest

from checkout import messages as m
from sagakit.message import Command, Event
from sagakit.provider import ProviderCall, ProviderOutcome
from shipping_service import domain as d
from shipping_service.carrier import call, endings, outcome
from shipping_service.domain import Shipment
from shipping_service.service import SERVICE
from tests.unit.services.given import CHECKOUT, ORDER, expect, expect_bug, given

NEW = Shipment(ORDER)
BOOK, DISPATCH, CANCEL = m.BookShipment(ORDER, CHECKOUT), m.DispatchShipment(ORDER), m.CancelShipment(ORDER)
REQUESTED = d.ShipmentBookingRequested(ORDER, CHECKOUT)
CANCEL_REQUESTED = d.ShipmentCancellationRequested(ORDER)
BOOKED, CANCELLED = m.ShipmentBooked(ORDER), m.ShipmentCancelled(ORDER)
OK = d.RecordBooking(ORDER, "ok", "")
REFUSED = d.RecordBooking(ORDER, "refused", "not_served")

UNDER_WAY = given(SERVICE, NEW, REQUESTED)
HELD = given(SERVICE, UNDER_WAY, BOOKED)
DOUBTFUL = given(SERVICE, UNDER_WAY, d.ShipmentCancellationDeferred(ORDER))
CANCELLING = given(SERVICE, HELD, CANCEL_REQUESTED)
DISPATCHED = given(SERVICE, HELD, d.ShipmentDispatchRequested(ORDER), m.ShipmentDispatched(ORDER))


def test_a_booking_is_requested_before_the_carrier_is_called() -> None:
    after = expect(SERVICE, NEW, BOOK, REQUESTED)
    assert (after.status, after.open) == ("BOOKING", True)


def test_an_ok_of_the_carrier_books_the_shipment() -> None:
    after = expect(SERVICE, UNDER_WAY, OK, BOOKED)
    assert (after.status, after.open) == ("BOOKED", False)


def test_a_refusal_of_the_carrier_refuses_the_shipment_with_its_code() -> None:
    after = expect(SERVICE, UNDER_WAY, REFUSED, m.ShipmentRefused(ORDER, "not_served"))
    assert (after.status, after.open) == ("REFUSED", False)


def test_cancel_before_book_refuses_the_late_booking() -> None:
    tombstone = expect(SERVICE, NEW, CANCEL, CANCELLED)
    assert tombstone == Shipment(ORDER, "CANCELLED", closed=True)
    assert expect(SERVICE, tombstone, BOOK, m.ShipmentRefused(ORDER, "order_cancelled")) == tombstone


def test_a_cancellation_waits_for_the_booking_under_way() -> None:
    after = expect(SERVICE, UNDER_WAY, CANCEL, d.ShipmentCancellationDeferred(ORDER))
    assert (after.status, after.open, after.cancel_wanted, after.closed) == ("BOOKING", True, True, False)


def test_a_late_booking_is_cancelled_at_the_carrier_first() -> None:
    after = expect(SERVICE, DOUBTFUL, OK, CANCEL_REQUESTED)
    assert (after.status, after.open, after.closed) == ("BOOKED", True, False)
    done = expect(SERVICE, after, d.RecordCancellation(ORDER, "ok"), CANCELLED)
    assert (done.status, done.open, done.closed) == ("CANCELLED", False, True)


def test_a_late_refusal_leaves_nothing_to_cancel() -> None:
    assert expect(SERVICE, DOUBTFUL, REFUSED, CANCELLED).closed


def test_a_booked_shipment_is_cancelled_at_the_carrier() -> None:
    assert expect(SERVICE, HELD, CANCEL, CANCEL_REQUESTED) == CANCELLING
    assert expect(SERVICE, CANCELLING, d.RecordCancellation(ORDER, "ok"), CANCELLED).status == "CANCELLED"


def test_a_refused_shipment_stays_refused_when_cancelled() -> None:
    refused = given(SERVICE, UNDER_WAY, m.ShipmentRefused(ORDER, "not_served"))
    after = expect(SERVICE, refused, CANCEL, CANCELLED)
    assert (after.status, after.closed) == ("REFUSED", True)


END = d.EndBooking(ORDER, "ended_by_operator")
ENDED = given(SERVICE, UNDER_WAY, m.ShipmentRefused(ORDER, "ended_by_operator"))
LATE_CANCEL, LATE_CANCELLED = d.LateBookingCancellationRequested(ORDER), d.LateBookingCancelled(ORDER)


def test_an_operator_ends_a_booking_without_answer_as_refused() -> None:
    assert expect(SERVICE, UNDER_WAY, END, m.ShipmentRefused(ORDER, "ended_by_operator")) == ENDED
    assert (ENDED.status, ENDED.open, ENDED.closed) == ("REFUSED", False, False)
    after = expect(SERVICE, DOUBTFUL, END, CANCELLED)
    assert (after.status, after.open, after.closed) == ("CANCELLED", False, True)


@pytest.mark.parametrize("state", [ENDED, given(SERVICE, ENDED, CANCELLED), given(SERVICE, DOUBTFUL, CANCELLED)])
def test_an_ended_booking_that_the_carrier_makes_after_all_is_cancelled_there(state: Shipment) -> None:
    cancelling = expect(SERVICE, state, OK, LATE_CANCEL)
    assert (cancelling.status, cancelling.open, cancelling.closed) == (state.status, True, state.closed)
    assert expect(SERVICE, cancelling, d.RecordCancellation(ORDER, "ok"), LATE_CANCELLED) == state
    assert expect(SERVICE, state, REFUSED, d.LateBookingRefused(ORDER, "not_served")) == state


def test_the_undo_of_the_order_may_come_while_a_late_booking_is_being_cancelled() -> None:
    cancelling = expect(SERVICE, expect(SERVICE, ENDED, OK, LATE_CANCEL), CANCEL, CANCELLED)
    assert (cancelling.status, cancelling.open, cancelling.closed) == ("REFUSED", True, True)
    assert not expect(SERVICE, cancelling, d.RecordCancellation(ORDER, "ok"), LATE_CANCELLED).open


def test_an_operator_may_only_end_a_booking_and_only_as_refused() -> None:
    made = call(REQUESTED)
    assert made is not None
    assert endings(made) == {"refused": END}
    for event in (d.ShipmentDispatchRequested(ORDER), CANCEL_REQUESTED, LATE_CANCEL):
        made = call(event)
        assert made is not None
        assert (endings(made), made.key) == ({}, f"{ORDER}/{made.operation}")


@pytest.mark.parametrize("state", [NEW, HELD, CANCELLING, ENDED, DISPATCHED, given(SERVICE, NEW, CANCELLED)])
def test_a_booking_that_is_not_under_way_cannot_be_ended(state: Shipment) -> None:
    expect_bug(SERVICE, state, END, ORDER)


def test_a_dispatch_is_requested_and_then_done() -> None:
    after = expect(SERVICE, HELD, DISPATCH, d.ShipmentDispatchRequested(ORDER))
    assert after.open
    assert expect(SERVICE, after, d.RecordDispatch(ORDER, "ok"), m.ShipmentDispatched(ORDER)) == DISPATCHED


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (UNDER_WAY, BOOK),
        (HELD, BOOK),
        (NEW, DISPATCH),
        (UNDER_WAY, DISPATCH),
        (CANCELLING, DISPATCH),
        (DISPATCHED, DISPATCH),
        (DISPATCHED, CANCEL),
        (DOUBTFUL, CANCEL),
        (CANCELLING, CANCEL),
        (given(SERVICE, NEW, CANCELLED), CANCEL),
        (HELD, OK),
        (HELD, d.RecordCancellation(ORDER, "ok")),
        (CANCELLING, d.RecordCancellation(ORDER, "refused")),
        (UNDER_WAY, d.RecordDispatch(ORDER, "ok")),
        (HELD, d.RecordDispatch(ORDER, "refused")),
    ],
)
def test_a_command_that_the_inbox_or_the_pivot_rules_out_is_a_bug(state: Shipment, command: Command) -> None:
    expect_bug(SERVICE, state, command, ORDER)


@pytest.mark.parametrize(
    ("event", "key", "payload"),
    [
        (REQUESTED, "o1/book", {"country": "LV"}),
        (d.ShipmentDispatchRequested(ORDER), "o1/dispatch", {}),
        (CANCEL_REQUESTED, "o1/cancel", {}),
    ],
)
def test_a_request_becomes_a_call_under_a_derived_key(event: Event, key: str, payload: dict[str, object]) -> None:
    operation = key.partition("/")[2]
    assert call(event) == ProviderCall(key, "carrier", operation, {"order_id": ORDER, **payload})


@pytest.mark.parametrize("event", [BOOKED, CANCELLED, d.ShipmentCancellationDeferred(ORDER)])
def test_other_events_cause_no_call(event: Event) -> None:
    assert call(event) is None


@pytest.mark.parametrize(
    ("event", "answer", "command"),
    [
        (REQUESTED, ProviderOutcome("ok", "", "ref"), OK),
        (REQUESTED, ProviderOutcome("refused", "not_served"), REFUSED),
        (d.ShipmentDispatchRequested(ORDER), ProviderOutcome("ok"), d.RecordDispatch(ORDER, "ok")),
        (CANCEL_REQUESTED, ProviderOutcome("ok"), d.RecordCancellation(ORDER, "ok")),
    ],
)
def test_an_answer_comes_back_as_an_internal_command(event: Event, answer: ProviderOutcome, command: Command) -> None:
    made = call(event)
    assert made is not None
    assert outcome(made, answer) == command

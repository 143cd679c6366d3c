"""What an event puts into the outbox, and which workflows a row starts or tells."""

import re

import pytest
from temporalio.api.failure.v1 import Failure

from checkout import messages as m
from sagakit.envelope import Envelope
from sagakit.message import Event
from sagakit.modes.temporal.wire import CONVERTER, MessagePayload, WorkflowInput, note_of
from sagakit.ports import StoreUnavailable
from tests.unit.modes_temporal.parts import helper, member, owner

CHECKOUT = m.Checkout(
    "c1",
    (m.Line("TEA", 1, m.Money(5, "EUR")),),
    m.Money(5, "EUR"),
    "tok",
    m.Address("A", "1 Road", "Cork", "T12", "IE"),
)
PLACED = m.OrderPlaced("o1", CHECKOUT, "key", "digest")


@pytest.mark.parametrize(
    ("event", "first", "again"),
    [
        (PLACED, "temporal.start", "temporal.start"),
        (m.OrderConfirmed("o1"), None, "temporal.decided"),
        (m.OrderCancelled("o1", "OUT_OF_STOCK"), None, "temporal.decided"),
        (m.OrderCancelled("o1", "CUSTOMER_REQUESTED"), "temporal.decided", "temporal.decided"),
        (m.OrderCancelled("o1", "TIMED_OUT"), "temporal.decided", "temporal.decided"),
        (m.OrderCompleted("o1"), None, None),
        (m.CancellationSettled("o1"), None, None),
    ],
)
def test_the_owner_tells_its_workflow_what_it_may_not_know(event: Event, first: str | None, again: str | None) -> None:
    for expected, repeated in ((first, False), (again, True)):
        assert list(owner().outgoing(event, repeated)) == ([(expected, event)] if expected else [])


def test_participants_answer_by_results_alone() -> None:
    assert helper().outgoing(m.StockReserved("o1", CHECKOUT), False) == ()


def test_a_placed_order_starts_a_workflow_with_what_is_left_of_its_time() -> None:
    note = note_of(m.PUBLIC, PLACED, None, None)
    (call,) = owner().calls("temporal.start", Envelope(PLACED, "order"), note, 10.0)
    assert (call.id, call.service, call.signal) == ("o1", "order", None)
    assert call.start == WorkflowInput(note, 0.1, 5.0, 20.0)


@pytest.mark.parametrize(("age", "deadline"), [(0.0, 30.0), (29.0, 1.0), (-3600.0, 30.0), (3600.0, 30.0), (30.0, 30.0)])
def test_a_clock_that_stepped_starts_no_workflow_that_is_over_or_never_is(age: float, deadline: float) -> None:
    note = note_of(m.PUBLIC, PLACED, None, None)
    (call,) = owner().calls("temporal.start", Envelope(PLACED, "order"), note, age)
    assert call.start.deadline == deadline


def test_a_decision_tells_the_workflow_and_starts_it_where_it_is_lost() -> None:
    event = m.OrderConfirmed("o1")
    note = note_of(m.PUBLIC, event, None, None)
    (call,) = owner().calls("temporal.decided", Envelope(event, "order"), note, 10.0)
    assert (call.id, call.signal, call.start.note) == ("o1", ("decided", note), None)


@pytest.mark.parametrize("part", [owner(), helper(), member("payment")])
def test_rows_of_another_mode_are_dropped(part: object) -> None:
    note = note_of(m.PUBLIC, PLACED, None, None)
    assert not part.calls("orchestration.payment.commands", Envelope(PLACED, "order"), note, 0.0)  # type: ignore[attr-defined]


def test_an_event_is_told_to_each_listener_and_kept_where_nobody_listens() -> None:
    order, event = member("order"), m.OrderConfirmed("o1")
    ((channel, told),) = order.outgoing(event, False)
    assert told == event
    note = note_of(m.PUBLIC, event, None, None)
    calls = order.calls(channel, Envelope(event, "order"), note, 0.0)
    assert [call.id for call in calls] == ["inventory/o1", "payment/o1", "shipping/o1"]
    assert all(call.signal == ("heard", note) for call in calls)
    (call,) = order.calls(channel, Envelope(PLACED, "order"), note_of(m.PUBLIC, PLACED, None, None), 0.0)
    assert call.id == "inventory/o1"
    assert order.outgoing(m.OrderCompleted("o1"), False) == ()


def test_what_travels_is_json_that_reads_back() -> None:
    converter = CONVERTER.payload_converter
    note = note_of(m.PUBLIC, PLACED, "o1/PlaceOrder", "00-trace")
    (payload,) = converter.to_payloads([WorkflowInput(note, 0.1, 5.0, 20.0)])
    assert payload.metadata["encoding"] == b"json/plain"
    assert b'"type":"OrderPlaced","data":{"order_id":"o1"' in payload.data
    (start,) = converter.from_payloads([payload], [WorkflowInput])
    assert m.PUBLIC.decode(start.note.type, start.note.data) == PLACED
    assert converter.from_payloads(converter.to_payloads([None]), [MessagePayload]) == [None]


def test_a_history_is_told_the_kind_and_place_of_a_failure_and_none_of_its_words() -> None:
    failure = Failure()
    try:
        raise ValueError("tok_of_somebody") from LookupError("1 Main St")
    except ValueError as error:
        CONVERTER.failure_converter.to_failure(error, CONVERTER.payload_converter, failure)
    assert (failure.application_failure_info.type, failure.stack_trace) == ("ValueError", "")
    assert re.fullmatch(r"ValueError in \w+, test_parts\.py:\d+", failure.message)
    assert not failure.HasField("cause")


def test_a_history_is_told_the_words_of_an_error_that_were_chosen() -> None:
    failure = Failure()
    CONVERTER.failure_converter.to_failure(
        StoreUnavailable("the database is down"), CONVERTER.payload_converter, failure
    )
    assert failure.message == "the database is down"

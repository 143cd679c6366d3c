"""What an event puts into the outbox, and which workflows a row starts or signals."""

import re

import pytest
from temporalio.api.failure.v1 import Failure

from checkout import messages as m
from sagakit.envelope import Envelope
from sagakit.message import Event
from sagakit.modes.temporal.wire import CONVERTER, MessagePayload, WorkflowInput, payload_of
from sagakit.ports import StoreUnavailable
from tests.unit.modes_temporal.roles import choreography_role, orchestrator_role, participant_role

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
def test_the_owner_signals_its_workflow_what_it_may_not_know(
    event: Event, first: str | None, again: str | None
) -> None:
    for expected, repeated in ((first, False), (again, True)):
        assert list(orchestrator_role().outgoing(event, repeated)) == ([(expected, event)] if expected else [])


def test_participants_answer_by_the_results_of_activities_alone() -> None:
    assert participant_role().outgoing(m.StockReserved("o1", CHECKOUT), False) == ()


def test_a_placed_order_starts_a_workflow_with_what_is_left_of_its_time() -> None:
    payload = payload_of(m.PUBLIC, PLACED, None, None)
    (call,) = orchestrator_role().starts("temporal.start", Envelope(PLACED, "order"), payload, 10.0)
    assert (call.id, call.service, call.signal) == ("o1", "order", None)
    assert call.input == WorkflowInput(payload, 0.1, 5.0, 20.0)


@pytest.mark.parametrize(("age", "deadline"), [(0.0, 30.0), (29.0, 1.0), (-3600.0, 30.0), (3600.0, 30.0), (30.0, 30.0)])
def test_a_clock_that_stepped_starts_no_workflow_that_is_over_or_never_is(age: float, deadline: float) -> None:
    payload = payload_of(m.PUBLIC, PLACED, None, None)
    (call,) = orchestrator_role().starts("temporal.start", Envelope(PLACED, "order"), payload, age)
    assert call.input.deadline == deadline


def test_a_decision_signals_the_workflow_and_starts_it_where_it_is_lost() -> None:
    event = m.OrderConfirmed("o1")
    payload = payload_of(m.PUBLIC, event, None, None)
    (call,) = orchestrator_role().starts("temporal.decided", Envelope(event, "order"), payload, 10.0)
    assert (call.id, call.signal, call.input.payload) == ("o1", ("decided", payload), None)


@pytest.mark.parametrize("role", [orchestrator_role(), participant_role(), choreography_role("payment")])
def test_rows_of_another_mode_are_dropped(role: object) -> None:
    payload = payload_of(m.PUBLIC, PLACED, None, None)
    assert not role.starts("orchestration.payment.commands", Envelope(PLACED, "order"), payload, 0.0)  # type: ignore[attr-defined]


def test_an_event_is_signalled_to_each_subscriber_and_dropped_where_nobody_subscribes() -> None:
    order, event = choreography_role("order"), m.OrderConfirmed("o1")
    ((channel, message),) = order.outgoing(event, False)
    assert message == event
    payload = payload_of(m.PUBLIC, event, None, None)
    calls = order.starts(channel, Envelope(event, "order"), payload, 0.0)
    assert [call.id for call in calls] == ["inventory/o1", "payment/o1", "shipping/o1"]
    assert all(call.signal == ("heard", payload) for call in calls)
    (call,) = order.starts(channel, Envelope(PLACED, "order"), payload_of(m.PUBLIC, PLACED, None, None), 0.0)
    assert call.id == "inventory/o1"
    assert order.outgoing(m.OrderCompleted("o1"), False) == ()


def test_a_workflows_input_is_json_that_reads_back_and_keeps_its_shape() -> None:
    converter = CONVERTER.payload_converter
    message = payload_of(m.PUBLIC, PLACED, "o1/PlaceOrder", "00-trace")
    (payload,) = converter.to_payloads([WorkflowInput(message, 0.1, 5.0, 20.0)])
    assert payload.metadata["encoding"] == b"json/plain"
    assert payload.data.startswith(b'{"note":{"type":"OrderPlaced","data":{"order_id":"o1"')
    assert payload.data.endswith(b'"retry_initial":0.1,"retry_max":5.0,"deadline":20.0}')
    (start,) = converter.from_payloads([payload], [WorkflowInput])
    assert m.PUBLIC.decode(start.payload.type, start.payload.data) == PLACED
    assert converter.from_payloads(converter.to_payloads([None]), [MessagePayload]) == [None]


def test_a_history_shows_the_kind_and_place_of_a_failure_and_none_of_its_words() -> None:
    failure = Failure()
    try:
        raise ValueError("tok_of_somebody") from LookupError("1 Main St")
    except ValueError as error:
        CONVERTER.failure_converter.to_failure(error, CONVERTER.payload_converter, failure)
    assert (failure.application_failure_info.type, failure.stack_trace) == ("ValueError", "")
    assert re.fullmatch(r"ValueError in \w+, test_roles\.py:\d+", failure.message)
    assert not failure.HasField("cause")


def test_a_history_shows_the_words_that_were_chosen_for_an_error() -> None:
    failure = Failure()
    CONVERTER.failure_converter.to_failure(
        StoreUnavailable("the database is down"), CONVERTER.payload_converter, failure
    )
    assert failure.message == "the database is down"

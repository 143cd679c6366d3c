"""A payment: every call is requested first, and what is in doubt is undone."""

import pytest

from checkout import messages as m
from payment_service import domain as d
from payment_service.domain import Payment
from payment_service.gateway import call, endings, outcome
from payment_service.service import SERVICE
from sagakit.message import Command, Event
from sagakit.provider import ProviderCall, ProviderOutcome
from tests.unit.services.given import CHECKOUT, ORDER, expect, expect_bug, given

NEW = Payment(ORDER)
AUTHORIZE, CAPTURE, VOID = m.AuthorizePayment(ORDER, CHECKOUT), m.CapturePayment(ORDER), m.VoidPayment(ORDER)
REQUESTED = d.PaymentAuthorizationRequested(ORDER, CHECKOUT)
VOID_REQUESTED = d.PaymentVoidRequested(ORDER, 3300, "EUR")
AUTHORIZED, VOIDED = m.PaymentAuthorized(ORDER, CHECKOUT), m.PaymentVoided(ORDER)
OK = d.RecordAuthorization(ORDER, "ok", "")
DECLINED = d.RecordAuthorization(ORDER, "declined", "card_declined")

UNDER_WAY = given(SERVICE, NEW, REQUESTED)
HELD = given(SERVICE, UNDER_WAY, AUTHORIZED)
DOUBTFUL = given(SERVICE, UNDER_WAY, d.PaymentVoidDeferred(ORDER))
VOIDING = given(SERVICE, HELD, VOID_REQUESTED)


def test_an_authorization_is_requested_before_the_provider_is_called() -> None:
    after = expect(SERVICE, NEW, AUTHORIZE, REQUESTED)
    assert (after.status, after.open) == ("AUTHORIZING", True)


def test_an_ok_of_the_provider_authorizes_the_payment() -> None:
    after = expect(SERVICE, UNDER_WAY, OK, AUTHORIZED)
    assert (after.status, after.open) == ("AUTHORIZED", False)


def test_a_refusal_of_the_provider_declines_the_payment_with_its_code() -> None:
    after = expect(SERVICE, UNDER_WAY, DECLINED, m.PaymentDeclined(ORDER, "card_declined"))
    assert (after.status, after.open) == ("DECLINED", False)


def test_void_before_authorize_refuses_the_late_authorize() -> None:
    tombstone = expect(SERVICE, NEW, VOID, VOIDED)
    assert tombstone == Payment(ORDER, "VOIDED", closed=True)
    assert expect(SERVICE, tombstone, AUTHORIZE, m.PaymentDeclined(ORDER, "order_cancelled")) == tombstone


def test_a_void_waits_for_the_authorization_under_way() -> None:
    after = expect(SERVICE, UNDER_WAY, VOID, d.PaymentVoidDeferred(ORDER))
    assert (after.status, after.open, after.void_wanted, after.closed) == ("AUTHORIZING", True, True, False)


def test_a_late_authorization_is_voided_at_the_provider_first() -> None:
    after = expect(SERVICE, DOUBTFUL, OK, VOID_REQUESTED)
    assert (after.status, after.open, after.closed) == ("AUTHORIZED", True, False)
    done = expect(SERVICE, after, d.RecordVoid(ORDER, "ok"), VOIDED)
    assert (done.status, done.open, done.closed) == ("VOIDED", False, True)


def test_a_late_decline_leaves_nothing_to_void() -> None:
    assert expect(SERVICE, DOUBTFUL, DECLINED, VOIDED).closed


def test_an_authorized_payment_is_voided_at_the_provider() -> None:
    assert expect(SERVICE, HELD, VOID, VOID_REQUESTED) == VOIDING
    assert expect(SERVICE, VOIDING, d.RecordVoid(ORDER, "ok"), VOIDED).status == "VOIDED"


def test_a_declined_payment_stays_declined_when_voided() -> None:
    declined = given(SERVICE, UNDER_WAY, m.PaymentDeclined(ORDER, "card_declined"))
    after = expect(SERVICE, declined, VOID, VOIDED)
    assert (after.status, after.closed) == ("DECLINED", True)


def test_a_capture_takes_the_total_of_the_order() -> None:
    after = expect(SERVICE, HELD, CAPTURE, d.PaymentCaptureRequested(ORDER, 3300, "EUR"))
    assert after.open
    done = expect(SERVICE, after, d.RecordCapture(ORDER, "ok"), m.PaymentCaptured(ORDER))
    assert (done.status, done.open) == ("CAPTURED", False)


END = d.EndAuthorization(ORDER, "ended_by_operator")
ENDED = given(SERVICE, UNDER_WAY, m.PaymentDeclined(ORDER, "ended_by_operator"))
LATE_VOID = d.LateAuthorizationVoidRequested(ORDER, 3300, "EUR")
LATE_VOIDED = d.LateAuthorizationVoided(ORDER)


def test_an_operator_ends_an_authorization_without_answer_as_declined() -> None:
    assert expect(SERVICE, UNDER_WAY, END, m.PaymentDeclined(ORDER, "ended_by_operator")) == ENDED
    assert (ENDED.status, ENDED.open, ENDED.closed) == ("DECLINED", False, False)
    undone = expect(SERVICE, ENDED, VOID, VOIDED)
    assert (undone.status, undone.closed) == ("DECLINED", True)


def test_an_ended_authorization_is_voided_if_the_order_is_cancelled_already() -> None:
    after = expect(SERVICE, DOUBTFUL, END, VOIDED)
    assert (after.status, after.open, after.closed) == ("VOIDED", False, True)


@pytest.mark.parametrize("state", [ENDED, given(SERVICE, ENDED, VOIDED), given(SERVICE, DOUBTFUL, VOIDED)])
def test_an_ended_authorization_that_the_provider_makes_after_all_is_voided_there(state: Payment) -> None:
    voiding = expect(SERVICE, state, OK, LATE_VOID)
    assert (voiding.status, voiding.open, voiding.closed) == (state.status, True, state.closed)
    assert expect(SERVICE, voiding, d.RecordVoid(ORDER, "ok"), LATE_VOIDED) == state


def test_the_undo_of_the_order_may_come_while_a_late_authorization_is_being_voided() -> None:
    voiding = expect(SERVICE, expect(SERVICE, ENDED, OK, LATE_VOID), VOID, VOIDED)
    assert (voiding.status, voiding.open, voiding.closed) == ("DECLINED", True, True)
    after = expect(SERVICE, voiding, d.RecordVoid(ORDER, "ok"), LATE_VOIDED)
    assert (after.status, after.open) == ("DECLINED", False)


@pytest.mark.parametrize("state", [ENDED, given(SERVICE, ENDED, VOIDED)])
def test_an_ended_authorization_that_the_provider_declines_as_well_changes_nothing(state: Payment) -> None:
    late = d.RecordAuthorization(ORDER, "declined", "card_declined")
    assert expect(SERVICE, state, late, d.LateAuthorizationDeclined(ORDER, "card_declined")) == state


def test_an_operator_may_only_end_an_authorization_and_only_as_declined() -> None:
    made = call(REQUESTED)
    assert made is not None
    assert endings(made) == {"declined": END}
    for event in (d.PaymentCaptureRequested(ORDER, 3300, "EUR"), VOID_REQUESTED, LATE_VOID):
        made = call(event)
        assert made is not None
        assert endings(made) == {}


CAPTURED = given(SERVICE, HELD, d.PaymentCaptureRequested(ORDER, 3300, "EUR"), m.PaymentCaptured(ORDER))


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (UNDER_WAY, AUTHORIZE),
        (HELD, AUTHORIZE),
        (NEW, CAPTURE),
        (UNDER_WAY, CAPTURE),
        (VOIDING, CAPTURE),
        (CAPTURED, CAPTURE),
        (CAPTURED, VOID),
        (DOUBTFUL, VOID),
        (VOIDING, VOID),
        (given(SERVICE, NEW, VOIDED), VOID),
        (HELD, OK),
        *((state, END) for state in (NEW, HELD, VOIDING, ENDED, CAPTURED, given(SERVICE, NEW, VOIDED))),
        (ENDED, d.RecordVoid(ORDER, "ok")),
        (given(SERVICE, VOIDING, VOIDED), d.RecordVoid(ORDER, "ok")),
        (given(SERVICE, NEW, VOIDED), OK),
        (HELD, d.RecordVoid(ORDER, "ok")),
        (VOIDING, d.RecordVoid(ORDER, "declined")),
        (UNDER_WAY, d.RecordCapture(ORDER, "ok")),
        (HELD, d.RecordCapture(ORDER, "declined")),
    ],
)
def test_a_command_that_the_inbox_or_the_pivot_rules_out_is_a_bug(state: Payment, command: Command) -> None:
    expect_bug(SERVICE, state, command, ORDER)


@pytest.mark.parametrize(
    ("event", "key", "payload"),
    [
        (REQUESTED, "o1/authorize", {"amount": {"amount": 3300, "currency": "EUR"}, "token": "tok_visa"}),
        (d.PaymentCaptureRequested(ORDER, 3300, "EUR"), "o1/capture", {"amount": {"amount": 3300, "currency": "EUR"}}),
        (LATE_VOID, "o1/void", {"amount": {"amount": 3300, "currency": "EUR"}}),
        (VOID_REQUESTED, "o1/void", {"amount": {"amount": 3300, "currency": "EUR"}}),
    ],
)
def test_a_request_becomes_a_call_under_a_derived_key(event: Event, key: str, payload: dict[str, object]) -> None:
    operation = key.partition("/")[2]
    assert call(event) == ProviderCall(key, "payment", operation, {"order_id": ORDER, **payload})


@pytest.mark.parametrize(
    "event", [AUTHORIZED, VOIDED, LATE_VOIDED, d.PaymentVoidDeferred(ORDER), m.PaymentCaptured(ORDER)]
)
def test_other_events_cause_no_call(event: Event) -> None:
    assert call(event) is None


@pytest.mark.parametrize(
    ("event", "answer", "command"),
    [
        (REQUESTED, ProviderOutcome("ok", "", "ref"), OK),
        (REQUESTED, ProviderOutcome("declined", "card_declined"), DECLINED),
        (d.PaymentCaptureRequested(ORDER, 3300, "EUR"), ProviderOutcome("ok"), d.RecordCapture(ORDER, "ok")),
        (VOID_REQUESTED, ProviderOutcome("ok"), d.RecordVoid(ORDER, "ok")),
    ],
)
def test_an_answer_comes_back_as_an_internal_command(event: Event, answer: ProviderOutcome, command: Command) -> None:
    made = call(event)
    assert made is not None
    assert outcome(made, answer) == command

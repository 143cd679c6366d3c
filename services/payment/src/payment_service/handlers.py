"""How the payment service decides each command. The table at the foot is the table of contents."""

from collections.abc import Mapping
from typing import Final

from checkout.messages import (
    AuthorizePayment,
    CapturePayment,
    Money,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    VoidPayment,
)
from payment_service.domain import (
    AUTHORIZED,
    AUTHORIZING,
    CAPTURED,
    DECLINED,
    NEW,
    VOIDED,
    EndAuthorization,
    LateAuthorizationDeclined,
    LateAuthorizationVoided,
    LateAuthorizationVoidRequested,
    Payment,
    PaymentAuthorizationRequested,
    PaymentCaptureRequested,
    PaymentVoidDeferred,
    PaymentVoidRequested,
    RecordAuthorization,
    RecordCapture,
    RecordVoid,
)
from sagakit.message import Command, Event
from sagakit.service import Handler, OutOfTurn


def authorize_payment(command: AuthorizePayment, payment: Payment) -> Event:
    """Request a call to the provider. A payment that was voided before it began is declined.

    Raises:
        OutOfTurn: The payment has begun already.
    """
    if payment.closed:
        return PaymentDeclined(command.order_id, "order_cancelled")
    if payment.status != NEW:
        raise OutOfTurn(f"payment of order {command.order_id} is {payment.status} already")
    return PaymentAuthorizationRequested(command.order_id, command.checkout)


def record_authorization(command: RecordAuthorization, payment: Payment) -> Event:
    """Record the answer; if a void was asked for meanwhile, an authorization is voided at the provider first.

    Raises:
        OutOfTurn: No authorization is under way.
    """
    if _ended_by_operator(payment):
        if command.outcome == "ok":
            total = _total(payment)
            return LateAuthorizationVoidRequested(command.order_id, total.amount, total.currency)
        return LateAuthorizationDeclined(command.order_id, command.code)
    if payment.status != AUTHORIZING:
        raise OutOfTurn(f"payment of order {command.order_id} is {payment.status}, not AUTHORIZING")
    authorized = command.outcome == "ok"
    if payment.void_wanted:
        return _void_requested(payment) if authorized else PaymentVoided(command.order_id)
    if authorized:
        assert payment.checkout is not None
        return PaymentAuthorized(command.order_id, payment.checkout)
    return PaymentDeclined(command.order_id, command.code)


def end_authorization(command: EndAuthorization, payment: Payment) -> Event:
    """Treat the authorization under way as declined, as an operator says.

    Raises:
        OutOfTurn: No authorization is under way.
    """
    if payment.status != AUTHORIZING:
        raise OutOfTurn(f"payment of order {command.order_id} is {payment.status}, not AUTHORIZING")
    return PaymentVoided(command.order_id) if payment.void_wanted else PaymentDeclined(command.order_id, command.code)


def capture_payment(command: CapturePayment, payment: Payment) -> Event:
    """Request a call to the provider that captures the order's total.

    Raises:
        OutOfTurn: The payment is not authorized, or a call is under way.
    """
    if payment.status != AUTHORIZED or payment.open:
        raise OutOfTurn(f"payment of order {command.order_id} is {payment.status}, not AUTHORIZED")
    total = _total(payment)
    return PaymentCaptureRequested(command.order_id, total.amount, total.currency)


def record_capture(command: RecordCapture, payment: Payment) -> Event:
    """Record that the money is captured.

    Raises:
        OutOfTurn: The provider did not say ok, or the payment is not authorized.
    """
    if command.outcome != "ok" or payment.status != AUTHORIZED:
        raise OutOfTurn(f"capture for order {command.order_id} ended {command.outcome} while {payment.status}")
    return PaymentCaptured(command.order_id)


def void_payment(command: VoidPayment, payment: Payment) -> Event:
    """Undo the payment in whatever state it is. If it has not begun, it leaves a tombstone.

    Raises:
        OutOfTurn: It was voided before, or is captured.
    """
    if payment.closed or payment.void_wanted or payment.status == CAPTURED:
        raise OutOfTurn(f"payment of order {command.order_id} is {payment.status} and cannot be voided")
    if payment.status == AUTHORIZING:
        return PaymentVoidDeferred(command.order_id)
    if payment.status == AUTHORIZED:
        return _void_requested(payment)
    return PaymentVoided(command.order_id)


def record_void(command: RecordVoid, payment: Payment) -> Event:
    """Record that the provider holds the money no longer.

    Raises:
        OutOfTurn: The provider did not say ok, or no void is under way.
    """
    if command.outcome == "ok" and _ended_by_operator(payment) and payment.open:
        return LateAuthorizationVoided(command.order_id)
    if command.outcome != "ok" or not payment.void_wanted or payment.closed:
        raise OutOfTurn(f"void for order {command.order_id} ended {command.outcome} while {payment.status}")
    return PaymentVoided(command.order_id)


def _ended_by_operator(payment: Payment) -> bool:
    # It began and is over; as its call still had no answer, only an operator can have ended it
    return payment.checkout is not None and payment.status in (DECLINED, VOIDED)


def _void_requested(payment: Payment) -> Event:
    total = _total(payment)
    return PaymentVoidRequested(payment.order_id, total.amount, total.currency)


def _total(payment: Payment) -> Money:
    assert payment.checkout is not None
    return payment.checkout.total


COMMANDS: Final[Mapping[type[Command], Handler]] = {
    AuthorizePayment: Handler(authorize_payment, (PaymentAuthorized, PaymentDeclined, PaymentVoided)),
    CapturePayment: Handler(capture_payment, (PaymentCaptured,)),
    VoidPayment: Handler(void_payment, (PaymentVoided,)),
    RecordAuthorization: Handler(record_authorization, (PaymentAuthorized, PaymentDeclined, PaymentVoided)),
    EndAuthorization: Handler(end_authorization, (PaymentDeclined, PaymentVoided)),
    RecordCapture: Handler(record_capture, (PaymentCaptured,)),
    RecordVoid: Handler(record_void, (PaymentVoided,)),
}

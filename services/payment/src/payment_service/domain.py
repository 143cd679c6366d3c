"""A payment is authorized, then captured or voided. Each call to the provider is recorded before it is made. Pure."""

from typing import Final

import msgspec
from msgspec.structs import replace

from checkout.messages import AboutOrder, Checkout, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentVoided
from sagakit.message import Command, Event

NEW: Final = "NEW"
AUTHORIZING: Final = "AUTHORIZING"
AUTHORIZED: Final = "AUTHORIZED"
CAPTURED: Final = "CAPTURED"
VOIDED: Final = "VOIDED"
DECLINED: Final = "DECLINED"


class RecordAuthorization(AboutOrder, Command, frozen=True):
    """Record the provider's definitive answer to an authorization: `outcome` is ok or declined."""

    outcome: str
    code: str


class EndAuthorization(AboutOrder, Command, frozen=True):
    """End an authorization without an answer as declined, for an operator. The call is retried on, and undone if ok."""

    code: str


class RecordCapture(AboutOrder, Command, frozen=True):
    """Record the provider's definitive answer to a capture."""

    outcome: str


class RecordVoid(AboutOrder, Command, frozen=True):
    """Record the provider's definitive answer to a void."""

    outcome: str


class PaymentAuthorizationRequested(AboutOrder, Event, frozen=True):
    """Private: the provider is called, and may hold the customer's money from now on."""

    checkout: Checkout


class PaymentCaptureRequested(AboutOrder, Event, frozen=True):
    """Private: the provider is called to capture the money."""

    amount: int
    currency: str


class PaymentVoidDeferred(AboutOrder, Event, frozen=True):
    """Private: the payment is to be voided as soon as the authorization under way has its answer."""


class PaymentVoidRequested(AboutOrder, Event, frozen=True):
    """Private: the provider is called to void the authorization."""

    amount: int
    currency: str


class LateAuthorizationDeclined(AboutOrder, Event, frozen=True):
    """Private: the provider has declined an authorization that an operator had ended as declined."""

    code: str


class LateAuthorizationVoidRequested(AboutOrder, Event, frozen=True):
    """Private: the provider has authorized what an operator had ended as declined, and is called to void it."""

    amount: int
    currency: str


class LateAuthorizationVoided(AboutOrder, Event, frozen=True):
    """Private: the provider has voided what an operator had ended as declined."""


PRIVATE: Final = (
    PaymentAuthorizationRequested,
    PaymentCaptureRequested,
    PaymentVoidDeferred,
    PaymentVoidRequested,
    LateAuthorizationDeclined,
    LateAuthorizationVoidRequested,
    LateAuthorizationVoided,
)
"""Events that are journaled here and never published."""


class Payment(msgspec.Struct, frozen=True):
    """One order's payment. VOIDED without a checkout is a tombstone, which refuses a late authorization.

    `open`: a call to the provider is under way. `void_wanted`: the undo was asked for. `closed`: the undo is done,
    after which a DECLINED payment stays DECLINED. `pruned`: this is all that is left of it, without its checkout.
    """

    order_id: str
    status: str = NEW
    checkout: Checkout | None = None
    open: bool = False
    void_wanted: bool = False
    closed: bool = False
    pruned: bool = False


def evolve(payment: Payment, event: Event) -> Payment:
    """Apply `event`.

    Raises:
        TypeError: `event` is no event of a payment.
    """
    match event:
        case PaymentAuthorizationRequested(checkout=checkout):
            return replace(payment, status=AUTHORIZING, checkout=checkout, open=True)
        case PaymentAuthorized():
            return replace(payment, status=AUTHORIZED, open=False)
        case PaymentDeclined():
            return payment if payment.closed else replace(payment, status=DECLINED, open=False)
        case PaymentCaptureRequested() | LateAuthorizationVoidRequested():
            return replace(payment, open=True)
        case PaymentCaptured():
            return replace(payment, status=CAPTURED, open=False)
        case PaymentVoidDeferred():
            return replace(payment, void_wanted=True)
        case PaymentVoidRequested():
            return replace(payment, status=AUTHORIZED, void_wanted=True, open=True)
        case PaymentVoided():
            status = DECLINED if payment.status == DECLINED else VOIDED
            late = payment.status == DECLINED and payment.open
            return replace(payment, status=status, open=late, closed=True)
        case LateAuthorizationDeclined() | LateAuthorizationVoided():
            return replace(payment, open=False)
    raise TypeError(f"a payment knows no {type(event).__name__}")

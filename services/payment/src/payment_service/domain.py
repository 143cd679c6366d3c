"""A payment: authorized, then captured or voided, each by a call to the provider that is recorded first. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from checkout.messages import (
    AboutOrder,
    Checkout,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
)
from sagakit.message import Command, Event

NEW: Final = "NEW"
AUTHORIZING: Final = "AUTHORIZING"
AUTHORIZED: Final = "AUTHORIZED"
CAPTURED: Final = "CAPTURED"
VOIDED: Final = "VOIDED"
DECLINED: Final = "DECLINED"


@dataclass(frozen=True, slots=True)
class RecordAuthorization(AboutOrder, Command):
    """The provider's definitive answer: `outcome` is ok or declined."""

    outcome: str
    code: str


@dataclass(frozen=True, slots=True)
class EndAuthorization(AboutOrder, Command):
    """An operator ends an authorization without answer as declined; the provider is asked on, in case it was not."""

    code: str


@dataclass(frozen=True, slots=True)
class RecordCapture(AboutOrder, Command):
    outcome: str


@dataclass(frozen=True, slots=True)
class RecordVoid(AboutOrder, Command):
    outcome: str


@dataclass(frozen=True, slots=True)
class PaymentAuthorizationRequested(AboutOrder, Event):
    """Private: from now on the provider may hold the customer's money."""

    checkout: Checkout


@dataclass(frozen=True, slots=True)
class PaymentCaptureRequested(AboutOrder, Event):
    """Private: the provider is being asked for the money."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class PaymentVoidDeferred(AboutOrder, Event):
    """Private: to be voided as soon as the authorization under way has its answer."""


@dataclass(frozen=True, slots=True)
class PaymentVoidRequested(AboutOrder, Event):
    """Private: the provider is being asked to let the money go."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class LateAuthorizationDeclined(AboutOrder, Event):
    """Private: the provider has not authorized what an operator had ended as declined."""

    code: str


@dataclass(frozen=True, slots=True)
class LateAuthorizationVoidRequested(AboutOrder, Event):
    """Private: the provider has authorized what an operator had ended as declined, and is being asked to let it go."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class LateAuthorizationVoided(AboutOrder, Event):
    """Private: the provider has let it go."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One order's payment. `open`: a call to the provider is under way. VOIDED without checkout is a tombstone.

    `closed`: the undo has been done; a DECLINED payment stays DECLINED then.
    """

    order_id: str
    status: str = NEW
    checkout: Checkout | None = None
    open: bool = False
    void_wanted: bool = False
    closed: bool = False


def evolve(payment: Payment, event: Event) -> Payment:
    """The payment after `event`."""
    match event:
        case PaymentAuthorizationRequested(checkout=checkout):
            return replace(payment, status=AUTHORIZING, checkout=checkout, open=True)
        case PaymentAuthorized():
            return replace(payment, status=AUTHORIZED, open=False)
        case PaymentDeclined():
            return payment if payment.closed else replace(payment, status=DECLINED, open=False)
        case PaymentCaptureRequested():
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
        case LateAuthorizationVoidRequested():
            return replace(payment, open=True)
        case LateAuthorizationDeclined() | LateAuthorizationVoided():
            return replace(payment, open=False)
    raise TypeError(f"a payment knows no {type(event).__name__}")

"""The commands and events of the payment service."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class AuthorizePayment(AboutOrder, Command):
    """Authorize the order's total at the payment provider."""

    checkout: Checkout


@dataclass(frozen=True, slots=True)
class CapturePayment(AboutOrder, Command):
    """Capture the authorized amount, for the order is confirmed."""


@dataclass(frozen=True, slots=True)
class VoidPayment(AboutOrder, Command):
    """Void the payment, for the order is cancelled; refuse an authorization that comes later."""


@dataclass(frozen=True, slots=True)
class PaymentAuthorized(AboutOrder, Event):
    """The provider holds the order's total for us."""

    checkout: Checkout


@dataclass(frozen=True, slots=True)
class PaymentDeclined(AboutOrder, Event):
    """The payment is declined; `code` is the provider's, or ended_by_operator, or order_cancelled."""

    code: str


@dataclass(frozen=True, slots=True)
class PaymentCaptured(AboutOrder, Event):
    """The provider has captured the order's total."""


@dataclass(frozen=True, slots=True)
class PaymentVoided(AboutOrder, Event):
    """The payment is void: no money is held for the order, and none will be captured."""


COMMANDS: Final[tuple[type[Command], ...]] = (
    AuthorizePayment,
    CapturePayment,
    VoidPayment,
)
EVENTS: Final[tuple[type[Event], ...]] = (
    PaymentAuthorized,
    PaymentDeclined,
    PaymentCaptured,
    PaymentVoided,
)

"""The commands and events of the payment service."""

from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


class AuthorizePayment(AboutOrder, Command, frozen=True):
    """Authorize the order's total at the payment provider."""

    checkout: Checkout


class CapturePayment(AboutOrder, Command, frozen=True):
    """Capture the authorized amount, for the order is confirmed."""


class VoidPayment(AboutOrder, Command, frozen=True):
    """Void the payment, for the order is cancelled; refuse an authorization that comes later."""


class PaymentAuthorized(AboutOrder, Event, frozen=True):
    """The provider holds the order's total for us."""

    checkout: Checkout


class PaymentDeclined(AboutOrder, Event, frozen=True):
    """The payment is declined; `code` is the provider's, or ended_by_operator, or order_cancelled."""

    code: str


class PaymentCaptured(AboutOrder, Event, frozen=True):
    """The provider has captured the order's total."""


class PaymentVoided(AboutOrder, Event, frozen=True):
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

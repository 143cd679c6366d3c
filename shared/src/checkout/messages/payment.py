"""The commands and events of the payment service."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class AuthorizePayment(AboutOrder, Command):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class CapturePayment(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class VoidPayment(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class PaymentAuthorized(AboutOrder, Event):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class PaymentDeclined(AboutOrder, Event):
    code: str


@dataclass(frozen=True, slots=True)
class PaymentCaptured(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class PaymentVoided(AboutOrder, Event):
    pass


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

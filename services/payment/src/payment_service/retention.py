"""What is left of a payment for ever: its row without the checkout, which answers whatever still comes. Pure."""

from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from checkout.messages import PaymentCaptured, PaymentVoided
from payment_service.domain import CAPTURED, Payment
from sagakit.message import Command, Event
from sagakit.service import Retention


def ended(payment: Payment) -> bool:
    """Whether nothing that may still come changes it."""
    return not payment.open and (payment.status == CAPTURED or payment.closed)


def final(payment: Payment) -> Payment:
    """The row that is left. Nobody needs the address or the card any more."""
    return replace(payment, pruned=True, checkout=None)


def outcome(payment: Payment, command: Command | None) -> Event:
    """How it came out. Whatever is asked, this is all that the saga may still need to hear."""
    kind = PaymentCaptured if payment.status == CAPTURED else PaymentVoided
    return kind(payment.order_id)


RETENTION: Final = Retention(ended, attrgetter("pruned"), final, outcome)

"""The commands and events of the order service, the owner of the saga."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class PlaceOrder(AboutOrder, Command):
    """Place an order, once per customer and idempotency key; `fingerprint` is a digest of the validated request."""

    idempotency_key: str
    fingerprint: str
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class ConfirmOrder(AboutOrder, Command):
    """Confirm the order, for all holds succeeded. Of this and CancelOrder, the first one decides."""


@dataclass(frozen=True, slots=True)
class CancelOrder(AboutOrder, Command):
    """Cancel the order unless it is confirmed.

    `reason`: OUT_OF_STOCK, PAYMENT_DECLINED, SHIPPING_UNAVAILABLE, TIMED_OUT or CUSTOMER_REQUESTED.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class RecordStockSettled(AboutOrder, Command):
    """Record that inventory has carried out the decision."""


@dataclass(frozen=True, slots=True)
class RecordPaymentSettled(AboutOrder, Command):
    """Record that payment has carried out the decision."""


@dataclass(frozen=True, slots=True)
class RecordShipmentSettled(AboutOrder, Command):
    """Record that shipping has carried out the decision."""


@dataclass(frozen=True, slots=True)
class OrderPlaced(AboutOrder, Event):
    """An order is placed.

    `idempotency_key` is the customer's, `fingerprint` a digest of the validated request under that key.
    """

    checkout: Checkout
    idempotency_key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class OrderConfirmed(AboutOrder, Event):
    """The order is confirmed: the participants settle their holds."""


@dataclass(frozen=True, slots=True)
class OrderCancelled(AboutOrder, Event):
    """The order is cancelled: the participants undo their holds. Reasons as in CancelOrder, or UNKNOWN_ORDER."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrderCompleted(AboutOrder, Event):
    """All participants have settled a confirmed order, which ends it."""


@dataclass(frozen=True, slots=True)
class CancellationSettled(AboutOrder, Event):
    """All participants have undone their part of a cancelled order, which ends it."""


COMMANDS: Final[tuple[type[Command], ...]] = (
    PlaceOrder,
    ConfirmOrder,
    CancelOrder,
    RecordStockSettled,
    RecordPaymentSettled,
    RecordShipmentSettled,
)
EVENTS: Final[tuple[type[Event], ...]] = (
    OrderPlaced,
    OrderConfirmed,
    OrderCancelled,
    OrderCompleted,
    CancellationSettled,
)

"""The commands and events of the order service, the owner of the saga."""

from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


class PlaceOrder(AboutOrder, Command, frozen=True):
    """Place an order, once per customer and idempotency key; `fingerprint` is a digest of the validated request."""

    idempotency_key: str
    fingerprint: str
    checkout: Checkout


class ConfirmOrder(AboutOrder, Command, frozen=True):
    """Confirm the order, for all holds succeeded. Of this and CancelOrder, the first one decides."""


class CancelOrder(AboutOrder, Command, frozen=True):
    """Cancel the order unless it is confirmed.

    `reason`: OUT_OF_STOCK, PAYMENT_DECLINED, SHIPPING_UNAVAILABLE, TIMED_OUT or CUSTOMER_REQUESTED.
    """

    reason: str


class RecordStockSettled(AboutOrder, Command, frozen=True):
    """Record that inventory has carried out the decision."""


class RecordPaymentSettled(AboutOrder, Command, frozen=True):
    """Record that payment has carried out the decision."""


class RecordShipmentSettled(AboutOrder, Command, frozen=True):
    """Record that shipping has carried out the decision."""


class OrderPlaced(AboutOrder, Event, frozen=True):
    """An order is placed.

    `idempotency_key` is the customer's, `fingerprint` a digest of the validated request under that key.
    """

    checkout: Checkout
    idempotency_key: str
    fingerprint: str


class OrderConfirmed(AboutOrder, Event, frozen=True):
    """The order is confirmed: the participants settle their holds."""


class OrderCancelled(AboutOrder, Event, frozen=True):
    """The order is cancelled: the participants undo their holds. Reasons as in CancelOrder, or UNKNOWN_ORDER."""

    reason: str


class OrderCompleted(AboutOrder, Event, frozen=True):
    """All participants have settled a confirmed order, which ends it."""


class CancellationSettled(AboutOrder, Event, frozen=True):
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

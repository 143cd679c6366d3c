"""The order: PENDING until the pivot, then CONFIRMED or CANCELLED, then settled. Pure."""

from typing import Final

import msgspec
from msgspec.structs import replace

from checkout.messages import (
    AboutOrder,
    CancellationSettled,
    Checkout,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
)
from sagakit.message import Command, Event

NEW: Final = "NEW"
PENDING: Final = "PENDING"
CONFIRMED: Final = "CONFIRMED"
COMPLETED: Final = "COMPLETED"
CANCELLED: Final = "CANCELLED"

OUT_OF_STOCK: Final = "OUT_OF_STOCK"
PAYMENT_DECLINED: Final = "PAYMENT_DECLINED"
SHIPPING_UNAVAILABLE: Final = "SHIPPING_UNAVAILABLE"
TIMED_OUT: Final = "TIMED_OUT"
CUSTOMER_REQUESTED: Final = "CUSTOMER_REQUESTED"
UNKNOWN_ORDER: Final = "UNKNOWN_ORDER"  # never placed here: no interface shows it, and the other services undo it


class DisownOrder(AboutOrder, Command, frozen=True):
    """Private: have the other services undo what they did for an order that was never placed here."""


class StockSettled(AboutOrder, Event, frozen=True):
    """Private: inventory has settled, and it was not the last of the three."""


class PaymentSettled(AboutOrder, Event, frozen=True):
    """Private: payment has settled, and it was not the last of the three."""


class ShipmentSettled(AboutOrder, Event, frozen=True):
    """Private: shipping has settled, and it was not the last of the three."""


PRIVATE: Final = (StockSettled, PaymentSettled, ShipmentSettled)
"""Events that are journaled here and never published."""


class Order(msgspec.Struct, frozen=True):
    """One order, and which participants have settled. NEW means that there is no such order yet.

    `pruned`: it has settled, and the row is all that is left of it.
    """

    order_id: str
    status: str = NEW
    cancellation_reason: str | None = None
    idempotency_key: str = ""
    fingerprint: str = ""
    checkout: Checkout | None = None
    stock_settled: bool = False
    payment_settled: bool = False
    shipment_settled: bool = False
    pruned: bool = False

    @property
    def settled(self) -> bool:
        """Whether all three participants have carried out the decision."""
        return self.stock_settled and self.payment_settled and self.shipment_settled

    @property
    def disowned(self) -> bool:
        """Whether it was never placed, and the other services have been told to undo what they did for it."""
        return self.cancellation_reason == UNKNOWN_ORDER

    @property
    def decided(self) -> bool:
        """Whether the pivot has confirmed or cancelled it."""
        return self.status in (CONFIRMED, COMPLETED, CANCELLED)


def evolve(order: Order, event: Event) -> Order:
    """Apply `event`; a decided order does not change when its decision is repeated.

    Raises:
        TypeError: `event` is no event of an order.
    """
    match event:
        case OrderPlaced(checkout=checkout, idempotency_key=key, fingerprint=fingerprint):
            return replace(order, status=PENDING, checkout=checkout, idempotency_key=key, fingerprint=fingerprint)
        case OrderConfirmed():
            return order if order.decided else replace(order, status=CONFIRMED)
        case OrderCancelled(reason=reason):
            return order if order.decided else replace(order, status=CANCELLED, cancellation_reason=reason)
        case StockSettled():
            return replace(order, stock_settled=True)
        case PaymentSettled():
            return replace(order, payment_settled=True)
        case ShipmentSettled():
            return replace(order, shipment_settled=True)
        case OrderCompleted():
            return replace(order, status=COMPLETED, stock_settled=True, payment_settled=True, shipment_settled=True)
        case CancellationSettled():
            return replace(order, stock_settled=True, payment_settled=True, shipment_settled=True)
    raise TypeError(f"an order knows no {type(event).__name__}")


def owed(order: Order) -> Event | None:
    """The event that a participant may have missed and a nudge publishes again; None if the order is settled."""
    if order.status == NEW or order.settled:
        return None
    if order.status == PENDING:
        assert order.checkout is not None
        return OrderPlaced(order.order_id, order.checkout, order.idempotency_key, order.fingerprint)
    if order.status == CANCELLED:
        assert order.cancellation_reason is not None
        return OrderCancelled(order.order_id, order.cancellation_reason)
    return OrderConfirmed(order.order_id)


def absent(order: Order) -> bool:
    """Whether there is no such order."""
    return order.status == NEW


def undecided(event: Event) -> bool:
    """Whether `event`, which the order owes, says that the pivot has not decided yet."""
    return isinstance(event, OrderPlaced)

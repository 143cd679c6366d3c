"""The commands and events of the order service, the owner of the saga."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class PlaceOrder(AboutOrder, Command):
    idempotency_key: str
    fingerprint: str
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class ConfirmOrder(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class CancelOrder(AboutOrder, Command):
    """`reason`: OUT_OF_STOCK, PAYMENT_DECLINED, SHIPPING_UNAVAILABLE, TIMED_OUT or CUSTOMER_REQUESTED."""

    reason: str


@dataclass(frozen=True, slots=True)
class RecordStockSettled(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class RecordPaymentSettled(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class RecordShipmentSettled(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class OrderPlaced(AboutOrder, Event):
    """`idempotency_key` is the customer's, `fingerprint` a digest of the validated request under that key."""

    checkout: Checkout
    idempotency_key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class OrderConfirmed(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class OrderCancelled(AboutOrder, Event):
    reason: str


@dataclass(frozen=True, slots=True)
class OrderCompleted(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class CancellationSettled(AboutOrder, Event):
    pass


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

"""Every public command and event, and who owns it. Commands imperative, events past tense.

Amounts are integers of minor units; ids are UUID strings. A field may be added with a default; none is ever
renamed or removed without a new version of the type (the golden files in tests/contracts guard it).
"""

from dataclasses import dataclass
from typing import Final

from sagakit.message import Command, Event, Message, Vocabulary


@dataclass(frozen=True, slots=True)
class Money:
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    sku: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True, slots=True)
class Address:
    name: str
    line1: str
    city: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """What every hold needs to know about the order, so that no service has to join two events.

    The order service seals the token for payment and the address for shipping (`checkout.sealing`): everybody copies
    them as they are. In clear is what was written before, or without keys.
    """

    customer: str
    lines: tuple[Line, ...]
    total: Money
    payment_token: str
    address: Address | str


@dataclass(frozen=True, slots=True)
class AboutOrder:
    order_id: str

    @property
    def subject(self) -> str:
        return self.order_id


# --- order -----------------------------------------------------------------------------------------------


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


# --- inventory -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReserveStock(AboutOrder, Command):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class CommitStock(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class ReleaseStock(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class StockReserved(AboutOrder, Event):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class StockRejected(AboutOrder, Event):
    """`missing`: the SKUs that could not be had; empty when the order had been cancelled before."""

    missing: tuple[str, ...]
    customer: str = ""


@dataclass(frozen=True, slots=True)
class StockCommitted(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class StockReleased(AboutOrder, Event):
    pass


# --- payment ---------------------------------------------------------------------------------------------


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


# --- shipping --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BookShipment(AboutOrder, Command):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class DispatchShipment(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class CancelShipment(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class ShipmentBooked(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class ShipmentRefused(AboutOrder, Event):
    code: str


@dataclass(frozen=True, slots=True)
class ShipmentDispatched(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class ShipmentCancelled(AboutOrder, Event):
    pass


COMMANDS_OF: Final[dict[str, tuple[type[Command], ...]]] = {
    "order": (
        PlaceOrder,
        ConfirmOrder,
        CancelOrder,
        RecordStockSettled,
        RecordPaymentSettled,
        RecordShipmentSettled,
    ),
    "inventory": (ReserveStock, CommitStock, ReleaseStock),
    "payment": (AuthorizePayment, CapturePayment, VoidPayment),
    "shipping": (BookShipment, DispatchShipment, CancelShipment),
}
EVENTS_OF: Final[dict[str, tuple[type[Event], ...]]] = {
    "order": (OrderPlaced, OrderConfirmed, OrderCancelled, OrderCompleted, CancellationSettled),
    "inventory": (StockReserved, StockRejected, StockCommitted, StockReleased),
    "payment": (PaymentAuthorized, PaymentDeclined, PaymentCaptured, PaymentVoided),
    "shipping": (ShipmentBooked, ShipmentRefused, ShipmentDispatched, ShipmentCancelled),
}
SERVICES: Final = tuple(COMMANDS_OF)
OWNER: Final[dict[type[Message], str]] = {
    kind: owner for table in (COMMANDS_OF, EVENTS_OF) for owner, kinds in table.items() for kind in kinds
}
PUBLIC: Final = Vocabulary(OWNER)

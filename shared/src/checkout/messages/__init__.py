"""Every public command and event, in one module per owner. Commands are imperative, events in the past tense.

Commands and events are structs whose JSON is the contract between the services. A field may be added with a
default; none is renamed or removed without a new version of the type (the golden files in tests/contracts guard it).
"""

from typing import Final

from checkout.messages import inventory, order, payment, shipping
from checkout.messages.inventory import (
    CommitStock,
    ReleaseStock,
    ReserveStock,
    StockCommitted,
    StockRejected,
    StockReleased,
    StockReserved,
)
from checkout.messages.order import (
    CancellationSettled,
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PlaceOrder,
    RecordPaymentSettled,
    RecordShipmentSettled,
    RecordStockSettled,
)
from checkout.messages.payment import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    VoidPayment,
)
from checkout.messages.shared import AboutOrder, Address, Checkout, Line, Money
from checkout.messages.shipping import (
    BookShipment,
    CancelShipment,
    DispatchShipment,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRefused,
)
from sagakit.message import Command, Event, Message, Vocabulary

__all__ = [
    "COMMANDS_OF",
    "EVENTS_OF",
    "OWNER",
    "PUBLIC",
    "SERVICES",
    "AboutOrder",
    "Address",
    "AuthorizePayment",
    "BookShipment",
    "CancelOrder",
    "CancelShipment",
    "CancellationSettled",
    "CapturePayment",
    "Checkout",
    "CommitStock",
    "ConfirmOrder",
    "DispatchShipment",
    "Line",
    "Money",
    "OrderCancelled",
    "OrderCompleted",
    "OrderConfirmed",
    "OrderPlaced",
    "PaymentAuthorized",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentVoided",
    "PlaceOrder",
    "RecordPaymentSettled",
    "RecordShipmentSettled",
    "RecordStockSettled",
    "ReleaseStock",
    "ReserveStock",
    "ShipmentBooked",
    "ShipmentCancelled",
    "ShipmentDispatched",
    "ShipmentRefused",
    "StockCommitted",
    "StockRejected",
    "StockReleased",
    "StockReserved",
    "VoidPayment",
]

_OWNERS: Final = {"order": order, "inventory": inventory, "payment": payment, "shipping": shipping}
COMMANDS_OF: Final[dict[str, tuple[type[Command], ...]]] = {name: owner.COMMANDS for name, owner in _OWNERS.items()}
EVENTS_OF: Final[dict[str, tuple[type[Event], ...]]] = {name: owner.EVENTS for name, owner in _OWNERS.items()}
SERVICES: Final = tuple(COMMANDS_OF)
OWNER: Final[dict[type[Message], str]] = {
    kind: owner for table in (COMMANDS_OF, EVENTS_OF) for owner, kinds in table.items() for kind in kinds
}
"""Message type -> the service that handles it, if it is a command, or records it, if it is an event."""

PUBLIC: Final = Vocabulary(OWNER)
"""All messages that travel between services."""

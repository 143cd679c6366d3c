"""The commands and events of the shipping service."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class BookShipment(AboutOrder, Command):
    """Book the shipment at the carrier."""

    checkout: Checkout


@dataclass(frozen=True, slots=True)
class DispatchShipment(AboutOrder, Command):
    """Dispatch the parcel, for the order is confirmed."""


@dataclass(frozen=True, slots=True)
class CancelShipment(AboutOrder, Command):
    """Cancel the shipment, for the order is cancelled; refuse a booking that comes later."""


@dataclass(frozen=True, slots=True)
class ShipmentBooked(AboutOrder, Event):
    """The carrier has booked the shipment."""


@dataclass(frozen=True, slots=True)
class ShipmentRefused(AboutOrder, Event):
    """The shipment is refused; `code` is the carrier's, or ended_by_operator, or order_cancelled."""

    code: str


@dataclass(frozen=True, slots=True)
class ShipmentDispatched(AboutOrder, Event):
    """The carrier has dispatched the parcel."""


@dataclass(frozen=True, slots=True)
class ShipmentCancelled(AboutOrder, Event):
    """The shipment is cancelled: no parcel will be dispatched for the order."""


COMMANDS: Final[tuple[type[Command], ...]] = (
    BookShipment,
    DispatchShipment,
    CancelShipment,
)
EVENTS: Final[tuple[type[Event], ...]] = (
    ShipmentBooked,
    ShipmentRefused,
    ShipmentDispatched,
    ShipmentCancelled,
)

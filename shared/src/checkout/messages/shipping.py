"""The commands and events of the shipping service."""

from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


class BookShipment(AboutOrder, Command, frozen=True):
    """Book the shipment at the carrier."""

    checkout: Checkout


class DispatchShipment(AboutOrder, Command, frozen=True):
    """Dispatch the parcel, for the order is confirmed."""


class CancelShipment(AboutOrder, Command, frozen=True):
    """Cancel the shipment, for the order is cancelled; refuse a booking that comes later."""


class ShipmentBooked(AboutOrder, Event, frozen=True):
    """The carrier has booked the shipment."""


class ShipmentRefused(AboutOrder, Event, frozen=True):
    """The shipment is refused; `code` is the carrier's, or ended_by_operator, or order_cancelled."""

    code: str


class ShipmentDispatched(AboutOrder, Event, frozen=True):
    """The carrier has dispatched the parcel."""


class ShipmentCancelled(AboutOrder, Event, frozen=True):
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

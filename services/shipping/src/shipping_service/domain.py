"""A shipment: booked, then dispatched or cancelled, each by a call to the carrier that is recorded first. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from checkout.messages import (
    AboutOrder,
    Checkout,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRefused,
)
from sagakit.message import Command, Event

NEW: Final = "NEW"
BOOKING: Final = "BOOKING"
BOOKED: Final = "BOOKED"
DISPATCHED: Final = "DISPATCHED"
CANCELLED: Final = "CANCELLED"
REFUSED: Final = "REFUSED"


@dataclass(frozen=True, slots=True)
class RecordBooking(AboutOrder, Command):
    """The carrier's definitive answer: `outcome` is ok or refused."""

    outcome: str
    code: str


@dataclass(frozen=True, slots=True)
class EndBooking(AboutOrder, Command):
    """An operator ends a booking without answer as refused; the carrier is asked on, in case it was not."""

    code: str


@dataclass(frozen=True, slots=True)
class RecordDispatch(AboutOrder, Command):
    outcome: str


@dataclass(frozen=True, slots=True)
class RecordCancellation(AboutOrder, Command):
    outcome: str


@dataclass(frozen=True, slots=True)
class ShipmentBookingRequested(AboutOrder, Event):
    """Private: from now on the carrier may hold a place for the parcel."""

    checkout: Checkout


@dataclass(frozen=True, slots=True)
class ShipmentDispatchRequested(AboutOrder, Event):
    """Private: the carrier is being asked to collect the parcel."""


@dataclass(frozen=True, slots=True)
class ShipmentCancellationDeferred(AboutOrder, Event):
    """Private: to be cancelled as soon as the booking under way has its answer."""


@dataclass(frozen=True, slots=True)
class ShipmentCancellationRequested(AboutOrder, Event):
    """Private: the carrier is being asked to give the place up."""


@dataclass(frozen=True, slots=True)
class LateBookingRefused(AboutOrder, Event):
    """Private: the carrier has not booked what an operator had ended as refused."""

    code: str


@dataclass(frozen=True, slots=True)
class LateBookingCancellationRequested(AboutOrder, Event):
    """Private: the carrier has booked what an operator had ended as refused, and is being asked to give it up."""


@dataclass(frozen=True, slots=True)
class LateBookingCancelled(AboutOrder, Event):
    """Private: the carrier has given it up."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """One order's shipment. `open`: a call to the carrier is under way. CANCELLED without checkout is a tombstone.

    `closed`: the undo has been done; a REFUSED shipment stays REFUSED then.
    """

    order_id: str
    status: str = NEW
    checkout: Checkout | None = None
    open: bool = False
    cancel_wanted: bool = False
    closed: bool = False


def evolve(shipment: Shipment, event: Event) -> Shipment:
    """The shipment after `event`."""
    match event:
        case ShipmentBookingRequested(checkout=checkout):
            return replace(shipment, status=BOOKING, checkout=checkout, open=True)
        case ShipmentBooked():
            return replace(shipment, status=BOOKED, open=False)
        case ShipmentRefused():
            return shipment if shipment.closed else replace(shipment, status=REFUSED, open=False)
        case ShipmentDispatchRequested():
            return replace(shipment, open=True)
        case ShipmentDispatched():
            return replace(shipment, status=DISPATCHED, open=False)
        case ShipmentCancellationDeferred():
            return replace(shipment, cancel_wanted=True)
        case ShipmentCancellationRequested():
            return replace(shipment, status=BOOKED, cancel_wanted=True, open=True)
        case ShipmentCancelled():
            status = REFUSED if shipment.status == REFUSED else CANCELLED
            late = shipment.status == REFUSED and shipment.open
            return replace(shipment, status=status, open=late, closed=True)
        case LateBookingCancellationRequested():
            return replace(shipment, open=True)
        case LateBookingRefused() | LateBookingCancelled():
            return replace(shipment, open=False)
    raise TypeError(f"a shipment knows no {type(event).__name__}")

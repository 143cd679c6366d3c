"""A shipment is booked, then dispatched or cancelled. Each call to the carrier is recorded before it is made. Pure."""

from typing import Final

import msgspec
from msgspec.structs import replace

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


class RecordBooking(AboutOrder, Command, frozen=True):
    """Record the carrier's definitive answer to a booking: `outcome` is ok or refused."""

    outcome: str
    code: str


class EndBooking(AboutOrder, Command, frozen=True):
    """End a booking without an answer as refused, for an operator. The call is retried on, and undone if ok."""

    code: str


class RecordDispatch(AboutOrder, Command, frozen=True):
    """Record the carrier's definitive answer to a dispatch."""

    outcome: str


class RecordCancellation(AboutOrder, Command, frozen=True):
    """Record the carrier's definitive answer to a cancellation."""

    outcome: str


class ShipmentBookingRequested(AboutOrder, Event, frozen=True):
    """Private: the carrier is called, and may hold a booking from now on."""

    checkout: Checkout


class ShipmentDispatchRequested(AboutOrder, Event, frozen=True):
    """Private: the carrier is called to dispatch the parcel."""


class ShipmentCancellationDeferred(AboutOrder, Event, frozen=True):
    """Private: the shipment is to be cancelled as soon as the booking under way has its answer."""


class ShipmentCancellationRequested(AboutOrder, Event, frozen=True):
    """Private: the carrier is called to cancel the booking."""


class LateBookingRefused(AboutOrder, Event, frozen=True):
    """Private: the carrier has refused a booking that an operator had ended as refused."""

    code: str


class LateBookingCancellationRequested(AboutOrder, Event, frozen=True):
    """Private: the carrier has booked what an operator had ended as refused, and is called to cancel it."""


class LateBookingCancelled(AboutOrder, Event, frozen=True):
    """Private: the carrier has cancelled what an operator had ended as refused."""


PRIVATE: Final = (
    ShipmentBookingRequested,
    ShipmentDispatchRequested,
    ShipmentCancellationDeferred,
    ShipmentCancellationRequested,
    LateBookingRefused,
    LateBookingCancellationRequested,
    LateBookingCancelled,
)
"""Events that are journaled here and never published."""


class Shipment(msgspec.Struct, frozen=True):
    """One order's shipment. CANCELLED without a checkout is a tombstone, which refuses a late booking.

    `open`: a call to the carrier is under way. `cancel_wanted`: the undo was asked for. `closed`: the undo is done,
    after which a REFUSED shipment stays REFUSED. `pruned`: this is all that is left of it, without its checkout.
    """

    order_id: str
    status: str = NEW
    checkout: Checkout | None = None
    open: bool = False
    cancel_wanted: bool = False
    closed: bool = False
    pruned: bool = False


def evolve(shipment: Shipment, event: Event) -> Shipment:
    """Apply `event`.

    Raises:
        TypeError: `event` is no event of a shipment.
    """
    match event:
        case ShipmentBookingRequested(checkout=checkout):
            return replace(shipment, status=BOOKING, checkout=checkout, open=True)
        case ShipmentBooked():
            return replace(shipment, status=BOOKED, open=False)
        case ShipmentRefused():
            return shipment if shipment.closed else replace(shipment, status=REFUSED, open=False)
        case ShipmentDispatchRequested() | LateBookingCancellationRequested():
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
        case LateBookingRefused() | LateBookingCancelled():
            return replace(shipment, open=False)
    raise TypeError(f"a shipment knows no {type(event).__name__}")

"""How the shipping service decides each command. The table at the foot is the table of contents."""

from collections.abc import Mapping
from typing import Final

from checkout.messages import (
    BookShipment,
    CancelShipment,
    DispatchShipment,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRefused,
)
from sagakit.message import Command, Event
from sagakit.service import Handler, OutOfTurn
from shipping_service.domain import (
    BOOKED,
    BOOKING,
    CANCELLED,
    DISPATCHED,
    NEW,
    REFUSED,
    EndBooking,
    LateBookingCancellationRequested,
    LateBookingCancelled,
    LateBookingRefused,
    RecordBooking,
    RecordCancellation,
    RecordDispatch,
    Shipment,
    ShipmentBookingRequested,
    ShipmentCancellationDeferred,
    ShipmentCancellationRequested,
    ShipmentDispatchRequested,
)


def book_shipment(command: BookShipment, shipment: Shipment) -> Event:
    """Request a call to the carrier. A shipment that was cancelled before it began is refused.

    Raises:
        OutOfTurn: The shipment has begun already.
    """
    if shipment.closed:
        return ShipmentRefused(command.order_id, "order_cancelled")
    if shipment.status != NEW:
        raise OutOfTurn(f"shipment of order {command.order_id} is {shipment.status} already")
    return ShipmentBookingRequested(command.order_id, command.checkout)


def record_booking(command: RecordBooking, shipment: Shipment) -> Event:
    """Record the answer; if a cancellation was asked for meanwhile, a booking is cancelled at the carrier first.

    Raises:
        OutOfTurn: No booking is under way.
    """
    if _ended_by_operator(shipment):
        if command.outcome == "ok":
            return LateBookingCancellationRequested(command.order_id)
        return LateBookingRefused(command.order_id, command.code)
    if shipment.status != BOOKING:
        raise OutOfTurn(f"shipment of order {command.order_id} is {shipment.status}, not BOOKING")
    booked = command.outcome == "ok"
    if shipment.cancel_wanted:
        order_id = command.order_id
        return ShipmentCancellationRequested(order_id) if booked else ShipmentCancelled(order_id)
    if booked:
        return ShipmentBooked(command.order_id)
    return ShipmentRefused(command.order_id, command.code)


def end_booking(command: EndBooking, shipment: Shipment) -> Event:
    """Treat the booking under way as refused, as an operator says.

    Raises:
        OutOfTurn: No booking is under way.
    """
    if shipment.status != BOOKING:
        raise OutOfTurn(f"shipment of order {command.order_id} is {shipment.status}, not BOOKING")
    order_id = command.order_id
    return ShipmentCancelled(order_id) if shipment.cancel_wanted else ShipmentRefused(order_id, command.code)


def dispatch_shipment(command: DispatchShipment, shipment: Shipment) -> Event:
    """Request a call to the carrier that dispatches the parcel.

    Raises:
        OutOfTurn: The shipment is not booked, or a call is under way.
    """
    if shipment.status != BOOKED or shipment.open:
        raise OutOfTurn(f"shipment of order {command.order_id} is {shipment.status}, not BOOKED")
    return ShipmentDispatchRequested(command.order_id)


def record_dispatch(command: RecordDispatch, shipment: Shipment) -> Event:
    """Record that the parcel is on its way.

    Raises:
        OutOfTurn: The carrier did not say ok, or the shipment is not booked.
    """
    if command.outcome != "ok" or shipment.status != BOOKED:
        raise OutOfTurn(f"dispatch for order {command.order_id} ended {command.outcome} while {shipment.status}")
    return ShipmentDispatched(command.order_id)


def cancel_shipment(command: CancelShipment, shipment: Shipment) -> Event:
    """Undo the shipment in whatever state it is. If it has not begun, it leaves a tombstone.

    Raises:
        OutOfTurn: It was cancelled before, or is dispatched.
    """
    if shipment.closed or shipment.cancel_wanted or shipment.status == DISPATCHED:
        raise OutOfTurn(f"shipment of order {command.order_id} is {shipment.status} and cannot be cancelled")
    if shipment.status == BOOKING:
        return ShipmentCancellationDeferred(command.order_id)
    if shipment.status == BOOKED:
        return ShipmentCancellationRequested(command.order_id)
    return ShipmentCancelled(command.order_id)


def record_cancellation(command: RecordCancellation, shipment: Shipment) -> Event:
    """Record that the carrier has the booking no longer.

    Raises:
        OutOfTurn: The carrier did not say ok, or no cancellation is under way.
    """
    if command.outcome == "ok" and _ended_by_operator(shipment) and shipment.open:
        return LateBookingCancelled(command.order_id)
    if command.outcome != "ok" or not shipment.cancel_wanted or shipment.closed:
        raise OutOfTurn(f"cancellation for order {command.order_id} ended {command.outcome} while {shipment.status}")
    return ShipmentCancelled(command.order_id)


def _ended_by_operator(shipment: Shipment) -> bool:
    # It began and is over; as its call still had no answer, only an operator can have ended it
    return shipment.checkout is not None and shipment.status in (REFUSED, CANCELLED)


COMMANDS: Final[Mapping[type[Command], Handler]] = {
    BookShipment: Handler(book_shipment, (ShipmentBooked, ShipmentRefused, ShipmentCancelled)),
    DispatchShipment: Handler(dispatch_shipment, (ShipmentDispatched,)),
    CancelShipment: Handler(cancel_shipment, (ShipmentCancelled,)),
    RecordBooking: Handler(record_booking, (ShipmentBooked, ShipmentRefused, ShipmentCancelled)),
    EndBooking: Handler(end_booking, (ShipmentRefused, ShipmentCancelled)),
    RecordDispatch: Handler(record_dispatch, (ShipmentDispatched,)),
    RecordCancellation: Handler(record_cancellation, (ShipmentCancelled,)),
}

"""The events of other services that the shipping service reacts to in choreography, each with its command."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from checkout.messages import (
    BookShipment,
    CancelShipment,
    DispatchShipment,
    OrderCancelled,
    OrderConfirmed,
    PaymentAuthorized,
)
from sagakit.message import Command, Event

REACTIONS: Final[Mapping[type[Event], Callable[[Any], Command]]] = {
    PaymentAuthorized: lambda event: BookShipment(event.order_id, event.checkout),
    OrderConfirmed: lambda event: DispatchShipment(event.order_id),
    OrderCancelled: lambda event: CancelShipment(event.order_id),
}

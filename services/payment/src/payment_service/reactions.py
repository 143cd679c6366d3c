"""The events of other services that the payment service reacts to in choreography, each with its command."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from checkout.messages import (
    AuthorizePayment,
    CapturePayment,
    OrderCancelled,
    OrderConfirmed,
    StockReserved,
    VoidPayment,
)
from sagakit.message import Command, Event

REACTIONS: Final[Mapping[type[Event], Callable[[Any], Command]]] = {
    StockReserved: lambda event: AuthorizePayment(event.order_id, event.checkout),
    OrderConfirmed: lambda event: CapturePayment(event.order_id),
    OrderCancelled: lambda event: VoidPayment(event.order_id),
}

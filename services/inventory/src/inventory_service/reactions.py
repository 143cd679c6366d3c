"""The events of other services that the inventory service reacts to in choreography, each with its command."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from checkout.messages import CommitStock, OrderCancelled, OrderConfirmed, OrderPlaced, ReleaseStock, ReserveStock
from sagakit.message import Command, Event

REACTIONS: Final[Mapping[type[Event], Callable[[Any], Command]]] = {
    OrderPlaced: lambda event: ReserveStock(event.order_id, event.checkout),
    OrderConfirmed: lambda event: CommitStock(event.order_id),
    OrderCancelled: lambda event: ReleaseStock(event.order_id),
}

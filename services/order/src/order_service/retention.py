"""What is left of an order for ever: its row, which answers whatever still comes. Pure."""

from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from checkout.messages import (
    CancellationSettled,
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
)
from order_service.domain import CANCELLED, Order
from sagakit.message import Command, Event
from sagakit.service import Retention


def final(order: Order) -> Order:
    """The row that is left: whole, for it is the customer's order."""
    return replace(order, pruned=True)


def outcome(order: Order, command: Command | None) -> Event:
    """How it came out: the decision, for those who compete for it, or else that it has ended."""
    decides = isinstance(command, ConfirmOrder | CancelOrder)
    if order.status == CANCELLED:
        assert order.cancellation_reason is not None
        if decides or order.disowned:
            return OrderCancelled(order.order_id, order.cancellation_reason)
        return CancellationSettled(order.order_id)
    return OrderConfirmed(order.order_id) if decides else OrderCompleted(order.order_id)


RETENTION: Final = Retention(attrgetter("settled"), attrgetter("pruned"), final, outcome)

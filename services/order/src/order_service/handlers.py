"""How the order service decides each command. The table at the foot is the table of contents."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from checkout.messages import (
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
from order_service.domain import (
    CANCELLED,
    NEW,
    PENDING,
    UNKNOWN_ORDER,
    DisownOrder,
    Order,
    PaymentSettled,
    ShipmentSettled,
    StockSettled,
)
from sagakit.message import Command, Event
from sagakit.service import Handler, OutOfTurn


def place_order(command: PlaceOrder, order: Order) -> Event:
    """Place a new order. An order that was disowned before it arrived stays cancelled.

    Raises:
        OutOfTurn: The order has been placed already.
    """
    if order.disowned:
        return OrderCancelled(command.order_id, UNKNOWN_ORDER)
    if order.status != NEW:
        raise OutOfTurn(f"order {order.order_id} has been placed already")
    return OrderPlaced(command.order_id, command.checkout, command.idempotency_key, command.fingerprint)


def confirm_order(command: ConfirmOrder, order: Order) -> Event:
    """Decide for confirmation, asked after the last hold, unless the order is decided: that decision stands.

    Raises:
        OutOfTurn: There is no such order.
    """
    if order.status == NEW:
        raise OutOfTurn(f"order {command.order_id} is unknown here")
    return _decision(order) or OrderConfirmed(command.order_id)


def cancel_order(command: CancelOrder, order: Order) -> Event:
    """Decide for cancellation, asked by a refusal, the deadline or the customer; a decision that was made stands.

    Raises:
        OutOfTurn: There is no such order.
    """
    if order.status == NEW:
        raise OutOfTurn(f"order {command.order_id} is unknown here")
    return _decision(order) or OrderCancelled(command.order_id, command.reason)


def disown_order(command: DisownOrder, order: Order) -> Event:
    """Cancel an order that was never placed, so that the other services undo what they did for it.

    Raises:
        OutOfTurn: The order has been placed.
    """
    if order.status != NEW:
        raise OutOfTurn(f"order {command.order_id} has been placed")
    return OrderCancelled(command.order_id, UNKNOWN_ORDER)


def _decision(order: Order) -> Event | None:
    if order.status == PENDING:
        return None
    if order.status == CANCELLED:
        assert order.cancellation_reason is not None
        return OrderCancelled(order.order_id, order.cancellation_reason)
    return OrderConfirmed(order.order_id)


def record_stock_settled(command: RecordStockSettled, order: Order) -> Event:
    """Record that inventory has carried out the decision; the last of the three settlements ends the order."""
    _expect_settlement(order, already=order.stock_settled)
    return _settlement(replace(order, stock_settled=True)) or StockSettled(command.order_id)


def record_payment_settled(command: RecordPaymentSettled, order: Order) -> Event:
    """Record that payment has carried out the decision; the last of the three settlements ends the order."""
    _expect_settlement(order, already=order.payment_settled)
    return _settlement(replace(order, payment_settled=True)) or PaymentSettled(command.order_id)


def record_shipment_settled(command: RecordShipmentSettled, order: Order) -> Event:
    """Record that shipping has carried out the decision; the last of the three settlements ends the order."""
    _expect_settlement(order, already=order.shipment_settled)
    return _settlement(replace(order, shipment_settled=True)) or ShipmentSettled(command.order_id)


def _expect_settlement(order: Order, already: bool) -> None:
    if not order.decided or already:
        raise OutOfTurn(f"order {order.order_id} is {order.status} and expects no such answer")


def _settlement(order: Order) -> Event | None:
    """The event that ends the order; None if a participant has not settled yet."""
    if not order.settled:
        return None
    if order.status == CANCELLED:
        return CancellationSettled(order.order_id)
    return OrderCompleted(order.order_id)


COMMANDS: Final[Mapping[type[Command], Handler]] = {
    PlaceOrder: Handler(place_order, (OrderPlaced, OrderCancelled)),
    ConfirmOrder: Handler(confirm_order, (OrderConfirmed, OrderCancelled)),
    CancelOrder: Handler(cancel_order, (OrderCancelled, OrderConfirmed)),
    DisownOrder: Handler(disown_order, (OrderCancelled,)),
    RecordStockSettled: Handler(record_stock_settled, (OrderCompleted, CancellationSettled)),
    RecordPaymentSettled: Handler(record_payment_settled, (OrderCompleted, CancellationSettled)),
    RecordShipmentSettled: Handler(record_shipment_settled, (OrderCompleted, CancellationSettled)),
}

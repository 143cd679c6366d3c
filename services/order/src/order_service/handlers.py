"""What the order service does with each command. The table at the foot is the table of contents."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

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
    if order.disowned:
        return OrderCancelled(command.order_id, UNKNOWN_ORDER)
    if order.status != NEW:
        raise OutOfTurn(f"order {order.order_id} has been placed already")
    return OrderPlaced(command.order_id, command.checkout, command.idempotency_key, command.fingerprint)


def confirm_order(command: ConfirmOrder, order: Order) -> Event:
    """The last hold asks the pivot; a decision that has been taken stands."""
    if order.status == NEW:
        raise OutOfTurn(f"order {command.order_id} is unknown here")
    return _decision(order) or OrderConfirmed(command.order_id)


def cancel_order(command: CancelOrder, order: Order) -> Event:
    """A refusal, the deadline or the customer asks the pivot; a decision that has been taken stands."""
    if order.status == NEW:
        raise OutOfTurn(f"order {command.order_id} is unknown here")
    return _decision(order) or OrderCancelled(command.order_id, command.reason)


def disown_order(command: DisownOrder, order: Order) -> Event:
    """There is no such order: whatever is held for it is undone. An order that has been placed stands."""
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
    _expect(order, done=order.stock_settled)
    return _settlement(replace(order, stock_settled=True)) or StockSettled(command.order_id)


def record_payment_settled(command: RecordPaymentSettled, order: Order) -> Event:
    _expect(order, done=order.payment_settled)
    return _settlement(replace(order, payment_settled=True)) or PaymentSettled(command.order_id)


def record_shipment_settled(command: RecordShipmentSettled, order: Order) -> Event:
    _expect(order, done=order.shipment_settled)
    return _settlement(replace(order, shipment_settled=True)) or ShipmentSettled(command.order_id)


def _expect(order: Order, done: bool) -> None:
    if not order.decided or done:
        raise OutOfTurn(f"order {order.order_id} is {order.status} and expects no such answer")


def _settlement(order: Order) -> Event | None:
    """The third answer ends the order."""
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

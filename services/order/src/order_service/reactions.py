"""The events of other services that the order service reacts to in choreography, each with its command."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from checkout.messages import (
    CancelOrder,
    ConfirmOrder,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    RecordPaymentSettled,
    RecordShipmentSettled,
    RecordStockSettled,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRefused,
    StockCommitted,
    StockRejected,
    StockReleased,
)
from order_service.domain import OUT_OF_STOCK, PAYMENT_DECLINED, SHIPPING_UNAVAILABLE
from sagakit.message import Command, Event

REACTIONS: Final[Mapping[type[Event], Callable[[Any], Command]]] = {
    StockRejected: lambda event: CancelOrder(event.order_id, OUT_OF_STOCK),
    PaymentDeclined: lambda event: CancelOrder(event.order_id, PAYMENT_DECLINED),
    ShipmentRefused: lambda event: CancelOrder(event.order_id, SHIPPING_UNAVAILABLE),
    ShipmentBooked: lambda event: ConfirmOrder(event.order_id),
    StockCommitted: lambda event: RecordStockSettled(event.order_id),
    StockReleased: lambda event: RecordStockSettled(event.order_id),
    PaymentCaptured: lambda event: RecordPaymentSettled(event.order_id),
    PaymentVoided: lambda event: RecordPaymentSettled(event.order_id),
    ShipmentDispatched: lambda event: RecordShipmentSettled(event.order_id),
    ShipmentCancelled: lambda event: RecordShipmentSettled(event.order_id),
}

"""Which command may lead to which events, and after which cause: written down independently of the services."""

from collections.abc import Mapping
from typing import Final

from checkout import messages as m
from inventory_service.domain import Restock, StockReceived
from order_service.domain import DisownOrder, PaymentSettled, ShipmentSettled, StockSettled
from payment_service import domain as payment
from sagakit.message import Command, Message
from shipping_service import domain as shipping

Effect = tuple[str, str]
"""An operation at a provider, and its outcome."""


def _pairs(
    table: Mapping[type[Message], Mapping[type[Message], Effect | None]],
) -> Mapping[str, Mapping[str, Effect | None]]:
    return {
        command.__name__: {event.__name__: effect for event, effect in events.items()}
        for command, events in table.items()
    }


EVENTS_OF_COMMAND: Final = _pairs(
    {
        m.PlaceOrder: {m.OrderPlaced: None},
        m.ConfirmOrder: {m.OrderConfirmed: None},
        m.CancelOrder: {m.OrderCancelled: None},
        DisownOrder: {m.OrderCancelled: None},
        m.RecordStockSettled: {StockSettled: None, m.OrderCompleted: None, m.CancellationSettled: None},
        m.RecordPaymentSettled: {PaymentSettled: None, m.OrderCompleted: None, m.CancellationSettled: None},
        m.RecordShipmentSettled: {ShipmentSettled: None, m.OrderCompleted: None, m.CancellationSettled: None},
        m.ReserveStock: {m.StockReserved: None, m.StockRejected: None},
        m.CommitStock: {m.StockCommitted: None},
        m.ReleaseStock: {m.StockReleased: None},
        Restock: {StockReceived: None},
        m.AuthorizePayment: {payment.PaymentAuthorizationRequested: None, m.PaymentDeclined: None},
        m.CapturePayment: {payment.PaymentCaptureRequested: None},
        m.VoidPayment: {
            payment.PaymentVoidDeferred: None,
            payment.PaymentVoidRequested: None,
            m.PaymentVoided: None,
        },
        payment.RecordAuthorization: {
            m.PaymentAuthorized: ("authorize", "ok"),
            m.PaymentDeclined: ("authorize", "declined"),
            payment.PaymentVoidRequested: ("authorize", "ok"),
            m.PaymentVoided: ("authorize", "declined"),
            payment.LateAuthorizationVoidRequested: ("authorize", "ok"),
            payment.LateAuthorizationDeclined: ("authorize", "declined"),
        },
        payment.EndAuthorization: {m.PaymentDeclined: None, m.PaymentVoided: None},
        payment.RecordCapture: {m.PaymentCaptured: ("capture", "ok")},
        payment.RecordVoid: {m.PaymentVoided: ("void", "ok"), payment.LateAuthorizationVoided: ("void", "ok")},
        m.BookShipment: {shipping.ShipmentBookingRequested: None, m.ShipmentRefused: None},
        m.DispatchShipment: {shipping.ShipmentDispatchRequested: None},
        m.CancelShipment: {
            shipping.ShipmentCancellationDeferred: None,
            shipping.ShipmentCancellationRequested: None,
            m.ShipmentCancelled: None,
        },
        shipping.RecordBooking: {
            m.ShipmentBooked: ("book", "ok"),
            m.ShipmentRefused: ("book", "refused"),
            shipping.ShipmentCancellationRequested: ("book", "ok"),
            m.ShipmentCancelled: ("book", "refused"),
            shipping.LateBookingCancellationRequested: ("book", "ok"),
            shipping.LateBookingRefused: ("book", "refused"),
        },
        shipping.EndBooking: {m.ShipmentRefused: None, m.ShipmentCancelled: None},
        shipping.RecordDispatch: {m.ShipmentDispatched: ("dispatch", "ok")},
        shipping.RecordCancellation: {
            m.ShipmentCancelled: ("cancel", "ok"),
            shipping.LateBookingCancelled: ("cancel", "ok"),
        },
    }
)
"""Command -> the events that it may lead to, each with the effect at a provider that must have come before it."""

_CAUSES: Final[Mapping[type[Message], tuple[type[Message], ...]]] = {
    m.ConfirmOrder: (m.ShipmentBooked,),
    m.CancelOrder: (m.OrderPlaced, m.StockRejected, m.PaymentDeclined, m.ShipmentRefused),
    m.RecordStockSettled: (m.StockCommitted, m.StockReleased),
    m.RecordPaymentSettled: (m.PaymentCaptured, m.PaymentVoided),
    m.RecordShipmentSettled: (m.ShipmentDispatched, m.ShipmentCancelled),
    m.ReserveStock: (m.OrderPlaced,),
    m.CommitStock: (m.OrderConfirmed,),
    m.ReleaseStock: (m.OrderCancelled,),
    m.AuthorizePayment: (m.StockReserved,),
    m.CapturePayment: (m.OrderConfirmed,),
    m.VoidPayment: (m.OrderCancelled,),
    m.BookShipment: (m.PaymentAuthorized,),
    m.DispatchShipment: (m.OrderConfirmed,),
    m.CancelShipment: (m.OrderCancelled,),
}
CAUSES: Final[Mapping[str, Mapping[str, str]]] = {
    command.__name__: {event.__name__: m.OWNER[event] for event in events} for command, events in _CAUSES.items()
}
"""Command -> events, one of which must have come before it, each with the service that records it."""

PROVIDER_OF: Final = {"payment": "payment", "shipping": "carrier"}
"""Service -> the provider that it calls."""

ANSWERED_CALL: Final[Mapping[str, str]] = {
    payment.RecordAuthorization.__name__: "authorize",
    payment.RecordCapture.__name__: "capture",
    payment.RecordVoid.__name__: "void",
    shipping.RecordBooking.__name__: "book",
    shipping.RecordDispatch.__name__: "dispatch",
    shipping.RecordCancellation.__name__: "cancel",
}
"""Internal command -> the operation whose answer it records."""

ENDED_CALL: Final[Mapping[str, str]] = {
    payment.EndAuthorization.__name__: "authorize",
    shipping.EndBooking.__name__: "book",
}
"""An operator's command -> the operation that it ends; the call is retried on, and undone if it succeeds."""


def _names(*kinds: type[Command]) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in kinds)


SPONTANEOUS: Final = frozenset(ENDED_CALL) | _names(m.PlaceOrder, m.CancelOrder, DisownOrder, Restock)
"""Commands without a causing message: a person or the deadline gives them."""

CONTESTED: Final = _names(m.ConfirmOrder, m.CancelOrder)
"""Commands that have no effect of their own if the order is decided already."""

COMMANDS: Final[Mapping[str, frozenset[str]]] = {
    "order": _names(*m.COMMANDS_OF["order"], DisownOrder),
    "inventory": _names(*m.COMMANDS_OF["inventory"], Restock),
    "payment": _names(
        *m.COMMANDS_OF["payment"],
        payment.RecordAuthorization,
        payment.EndAuthorization,
        payment.RecordCapture,
        payment.RecordVoid,
    ),
    "shipping": _names(
        *m.COMMANDS_OF["shipping"],
        shipping.RecordBooking,
        shipping.EndBooking,
        shipping.RecordDispatch,
        shipping.RecordCancellation,
    ),
}
"""Service -> the commands that it handles, internal ones included."""

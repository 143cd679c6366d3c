"""The saga once more, as a referee has it: which events may follow which, from which command, after which cause.

Written down independently of the services' own tables, so that a mistake there does not excuse itself here.
"""

from collections.abc import Mapping
from typing import Final

from checkout import messages as m
from inventory_service.domain import Restock, StockReceived
from order_service.domain import DisownOrder, PaymentSettled, ShipmentSettled, StockSettled
from payment_service import domain as payment
from sagakit.message import Message
from shipping_service import domain as shipping

Machine = Mapping[str, Mapping[str, str]]
START: Final = "nothing"


def _machine(table: Mapping[str, Mapping[type[Message], str]]) -> Machine:
    return {state: {kind.__name__: after for kind, after in arrows.items()} for state, arrows in table.items()}


def _answers(after: str) -> dict[type[Message], str]:
    return dict.fromkeys((StockSettled, PaymentSettled, ShipmentSettled), after)


MACHINES: Final[Mapping[str, Machine]] = {
    "order": _machine(
        {
            START: {m.OrderPlaced: "PENDING", m.OrderCancelled: "CANCELLED"},  # the latter: disowned, never placed
            "PENDING": {m.OrderConfirmed: "CONFIRMED", m.OrderCancelled: "CANCELLED"},
            "CONFIRMED": _answers("CONFIRMED with one answer"),
            "CONFIRMED with one answer": _answers("CONFIRMED with two answers"),
            "CONFIRMED with two answers": {m.OrderCompleted: "COMPLETED"},
            "CANCELLED": _answers("CANCELLED with one answer"),
            "CANCELLED with one answer": _answers("CANCELLED with two answers"),
            "CANCELLED with two answers": {m.CancellationSettled: "CANCELLED and settled"},
        }
    ),
    "inventory": _machine(
        {
            START: {
                m.StockReserved: "RESERVED",
                m.StockRejected: "REJECTED",
                m.StockReleased: "a tombstone",
                StockReceived: "restocked",
            },
            "RESERVED": {m.StockCommitted: "COMMITTED", m.StockReleased: "RELEASED"},
            "REJECTED": {m.StockReleased: "REJECTED and released"},
            "a tombstone": {m.StockRejected: "REJECTED and released"},
        }
    ),
    "payment": _machine(
        {
            START: {payment.PaymentAuthorizationRequested: "AUTHORIZING", m.PaymentVoided: "a tombstone"},
            "AUTHORIZING": {
                m.PaymentAuthorized: "AUTHORIZED",
                m.PaymentDeclined: "DECLINED",
                payment.PaymentVoidDeferred: "AUTHORIZING, to be voided",
            },
            "AUTHORIZED": {
                payment.PaymentCaptureRequested: "capturing",
                payment.PaymentVoidRequested: "voiding",
            },
            "AUTHORIZING, to be voided": {
                payment.PaymentVoidRequested: "voiding",
                m.PaymentVoided: "VOIDED",
            },
            "capturing": {m.PaymentCaptured: "CAPTURED"},
            "voiding": {m.PaymentVoided: "VOIDED"},
            "DECLINED": {
                m.PaymentVoided: "DECLINED and voided",
                payment.LateAuthorizationDeclined: "DECLINED",
                payment.LateAuthorizationVoidRequested: "DECLINED, voiding",
            },
            "DECLINED, voiding": {
                m.PaymentVoided: "DECLINED and voided, voiding",
                payment.LateAuthorizationVoided: "DECLINED",
            },
            "DECLINED and voided": {
                payment.LateAuthorizationDeclined: "DECLINED and voided",
                payment.LateAuthorizationVoidRequested: "DECLINED and voided, voiding",
            },
            "DECLINED and voided, voiding": {payment.LateAuthorizationVoided: "DECLINED and voided"},
            "VOIDED": {
                payment.LateAuthorizationDeclined: "VOIDED",
                payment.LateAuthorizationVoidRequested: "VOIDED, voiding",
            },
            "VOIDED, voiding": {payment.LateAuthorizationVoided: "VOIDED"},
            "a tombstone": {m.PaymentDeclined: "VOIDED"},
        }
    ),
    "shipping": _machine(
        {
            START: {shipping.ShipmentBookingRequested: "BOOKING", m.ShipmentCancelled: "a tombstone"},
            "BOOKING": {
                m.ShipmentBooked: "BOOKED",
                m.ShipmentRefused: "REFUSED",
                shipping.ShipmentCancellationDeferred: "BOOKING, to be cancelled",
            },
            "BOOKED": {
                shipping.ShipmentDispatchRequested: "dispatching",
                shipping.ShipmentCancellationRequested: "cancelling",
            },
            "BOOKING, to be cancelled": {
                shipping.ShipmentCancellationRequested: "cancelling",
                m.ShipmentCancelled: "CANCELLED",
            },
            "dispatching": {m.ShipmentDispatched: "DISPATCHED"},
            "cancelling": {m.ShipmentCancelled: "CANCELLED"},
            "REFUSED": {
                m.ShipmentCancelled: "REFUSED and cancelled",
                shipping.LateBookingRefused: "REFUSED",
                shipping.LateBookingCancellationRequested: "REFUSED, cancelling",
            },
            "REFUSED, cancelling": {
                m.ShipmentCancelled: "REFUSED and cancelled, cancelling",
                shipping.LateBookingCancelled: "REFUSED",
            },
            "REFUSED and cancelled": {
                shipping.LateBookingRefused: "REFUSED and cancelled",
                shipping.LateBookingCancellationRequested: "REFUSED and cancelled, cancelling",
            },
            "REFUSED and cancelled, cancelling": {shipping.LateBookingCancelled: "REFUSED and cancelled"},
            "CANCELLED": {
                shipping.LateBookingRefused: "CANCELLED",
                shipping.LateBookingCancellationRequested: "CANCELLED, cancelling",
            },
            "CANCELLED, cancelling": {shipping.LateBookingCancelled: "CANCELLED"},
            "a tombstone": {m.ShipmentRefused: "CANCELLED"},
        }
    ),
}

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
"""Command -> the events it may lead to, each with the provider's effect that must have come before it."""

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
"""Command -> the events one of which must have come before it, each with the service that records it."""

PROVIDER_OF: Final = {"payment": "payment", "shipping": "carrier"}
"""Service -> the provider that it alone calls."""

ANSWERED_CALL: Final[Mapping[str, str]] = {
    payment.RecordAuthorization.__name__: "authorize",
    payment.RecordCapture.__name__: "capture",
    payment.RecordVoid.__name__: "void",
    shipping.RecordBooking.__name__: "book",
    shipping.RecordDispatch.__name__: "dispatch",
    shipping.RecordCancellation.__name__: "cancel",
}
"""Internal command -> the operation whose answer it brings in."""

ENDED_CALL: Final[Mapping[str, str]] = {
    payment.EndAuthorization.__name__: "authorize",
    shipping.EndBooking.__name__: "book",
}
"""An operator's command -> the operation that it ends; the call is made on, and whatever it answers is undone."""

SPONTANEOUS: Final = frozenset(
    (*ENDED_CALL, *(kind.__name__ for kind in (m.PlaceOrder, m.CancelOrder, DisownOrder, Restock)))
)
"""Commands that a person or the deadline may give: no message need have led to them."""

CONTESTED: Final = frozenset(kind.__name__ for kind in (m.ConfirmOrder, m.CancelOrder))
"""Commands that may lose against a decision that was taken before."""

COMMANDS: Final[Mapping[str, frozenset[str]]] = {
    "order": frozenset(kind.__name__ for kind in (*m.COMMANDS_OF["order"], DisownOrder)),
    "inventory": frozenset(kind.__name__ for kind in (*m.COMMANDS_OF["inventory"], Restock)),
    "payment": frozenset(
        kind.__name__
        for kind in (
            *m.COMMANDS_OF["payment"],
            payment.RecordAuthorization,
            payment.EndAuthorization,
            payment.RecordCapture,
            payment.RecordVoid,
        )
    ),
    "shipping": frozenset(
        kind.__name__
        for kind in (
            *m.COMMANDS_OF["shipping"],
            shipping.RecordBooking,
            shipping.EndBooking,
            shipping.RecordDispatch,
            shipping.RecordCancellation,
        )
    ),
}
"""Service -> the commands at its door, the internal ones included."""

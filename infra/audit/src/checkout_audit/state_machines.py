"""Each service's state machine: which events may follow which.

Written down independently of the services' own rules, so that a mistake there is not repeated here.
"""

from collections.abc import Mapping
from typing import Final

from checkout import messages as m
from inventory_service.domain import StockReceived
from order_service.domain import PaymentSettled, ShipmentSettled, StockSettled
from payment_service import domain as payment
from sagakit.message import Message
from shipping_service import domain as shipping

Machine = Mapping[str, Mapping[str, str]]
"""State -> name of an event -> state."""
START: Final = "nothing"
"""The state before the first event."""


ENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "order": ("COMPLETED", "CANCELLED"),
    "inventory": ("COMMITTED", "RELEASED", "REJECTED"),
    "payment": ("CAPTURED", "VOIDED", "DECLINED"),
    "shipping": ("DISPATCHED", "CANCELLED", "REFUSED"),
}
"""The statuses in which a row may be pruned."""


def _machine(table: Mapping[str, Mapping[type[Message], str]]) -> Machine:
    return {state: {kind.__name__: after for kind, after in arrows.items()} for state, arrows in table.items()}


def _settlements(after: str) -> dict[type[Message], str]:
    return dict.fromkeys((StockSettled, PaymentSettled, ShipmentSettled), after)


MACHINES: Final[Mapping[str, Machine]] = {
    "order": _machine(
        {
            START: {m.OrderPlaced: "PENDING", m.OrderCancelled: "CANCELLED"},  # the latter: disowned, never placed
            "PENDING": {m.OrderConfirmed: "CONFIRMED", m.OrderCancelled: "CANCELLED"},
            "CONFIRMED": _settlements("CONFIRMED with one settled"),
            "CONFIRMED with one settled": _settlements("CONFIRMED with two settled"),
            "CONFIRMED with two settled": {m.OrderCompleted: "COMPLETED"},
            "CANCELLED": _settlements("CANCELLED with one settled"),
            "CANCELLED with one settled": _settlements("CANCELLED with two settled"),
            "CANCELLED with two settled": {m.CancellationSettled: "CANCELLED and settled"},
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

"""The checkout saga: reserve stock, authorize the payment, book the shipment; then confirm, or cancel and undo.

CHECKOUT is the only place where orchestration has its sequence.
"""

from operator import attrgetter
from typing import Final

from checkout import messages as m
from sagakit.saga import Saga, Step, phases_of

CHECKOUT: Final = Saga(
    owner="order",
    started=m.OrderPlaced,
    confirm=m.ConfirmOrder,
    cancel=m.CancelOrder,
    confirmed=m.OrderConfirmed,
    cancelled=m.OrderCancelled,
    timed_out="TIMED_OUT",
    snapshot=attrgetter("checkout"),
    steps=(
        Step(
            participant="inventory",
            do=m.ReserveStock,
            ok=m.StockReserved,
            refused=m.StockRejected,
            refusal="OUT_OF_STOCK",
            settle=m.CommitStock,
            settled=m.StockCommitted,
            undo=m.ReleaseStock,
            undone=m.StockReleased,
            record=m.RecordStockSettled,
        ),
        Step(
            participant="payment",
            do=m.AuthorizePayment,
            ok=m.PaymentAuthorized,
            refused=m.PaymentDeclined,
            refusal="PAYMENT_DECLINED",
            settle=m.CapturePayment,
            settled=m.PaymentCaptured,
            undo=m.VoidPayment,
            undone=m.PaymentVoided,
            record=m.RecordPaymentSettled,
        ),
        Step(
            participant="shipping",
            do=m.BookShipment,
            ok=m.ShipmentBooked,
            refused=m.ShipmentRefused,
            refusal="SHIPPING_UNAVAILABLE",
            settle=m.DispatchShipment,
            settled=m.ShipmentDispatched,
            undo=m.CancelShipment,
            undone=m.ShipmentCancelled,
            record=m.RecordShipmentSettled,
        ),
    ),
)

PHASES: Final = phases_of(CHECKOUT)
"""The phase to which each message belongs."""

"""One message of every public type, with a distinct value in every field."""

from typing import Any, Final

from msgspec.structs import replace

from checkout import messages as m
from checkout.sealing import seal_checkout
from sagakit.message import Message
from sagakit.sealing import DeterministicSealer

ORDER: Final = "6f1e4c1e-4a3b-5d0a-9a53-2f6b1f0f9a11"
CHECKOUT: Final = m.Checkout(
    customer="alice",
    lines=(m.Line("espresso-cup", 2, m.Money(1200, "EUR")), m.Line("grinder-\u00e9", 1, m.Money(8900, "EUR"))),
    total=m.Money(11300, "EUR"),
    payment_token="tok_visa",
    address=m.Address("A. Customer", "1 Main St", "R\u012bga", "LV-1010", "LV"),
)
_SAMPLES: Final[tuple[Message, ...]] = (
    m.PlaceOrder(ORDER, "key-1", "f00d", CHECKOUT),
    m.ConfirmOrder(ORDER),
    m.CancelOrder(ORDER, "TIMED_OUT"),
    m.RecordStockSettled(ORDER),
    m.RecordPaymentSettled(ORDER),
    m.RecordShipmentSettled(ORDER),
    m.OrderPlaced(ORDER, CHECKOUT, "key-1", "f00d"),
    m.OrderConfirmed(ORDER),
    m.OrderCancelled(ORDER, "OUT_OF_STOCK"),
    m.OrderCompleted(ORDER),
    m.CancellationSettled(ORDER),
    m.ReserveStock(ORDER, CHECKOUT),
    m.CommitStock(ORDER),
    m.ReleaseStock(ORDER),
    m.StockReserved(ORDER, CHECKOUT),
    m.StockRejected(ORDER, ("espresso-cup", "grinder-\u00e9"), "alice"),
    m.StockCommitted(ORDER),
    m.StockReleased(ORDER),
    m.AuthorizePayment(ORDER, CHECKOUT),
    m.CapturePayment(ORDER),
    m.VoidPayment(ORDER),
    m.PaymentAuthorized(ORDER, CHECKOUT),
    m.PaymentDeclined(ORDER, "card_declined"),
    m.PaymentCaptured(ORDER),
    m.PaymentVoided(ORDER),
    m.BookShipment(ORDER, CHECKOUT),
    m.DispatchShipment(ORDER),
    m.CancelShipment(ORDER),
    m.ShipmentBooked(ORDER),
    m.ShipmentRefused(ORDER, "not_served"),
    m.ShipmentDispatched(ORDER),
    m.ShipmentCancelled(ORDER),
)
SAMPLES: Final = {type(message).__name__: message for message in _SAMPLES}


def _sealed(message: Any) -> Message:
    sealers = DeterministicSealer("payment"), DeterministicSealer("shipping")
    sealed: Message = replace(message, checkout=seal_checkout(message.checkout, *sealers))
    return sealed


SEALED: Final = {name: _sealed(message) for name, message in SAMPLES.items() if hasattr(message, "checkout")}
"""The same, as the order service writes them with sealing keys."""

"""How a scenario must end, derived from the rules of the shop alone: what every mode is compared with."""

from collections.abc import Iterator
from typing import NamedTuple

from checkout.provider_rules import GOOD_TOKENS, UNSERVED_COUNTRIES
from tests.agreement.scenarios import SCARCE, Purchase, Scenario

_AFTER_THE_DECISION = ("OrderConfirmed", "OrderCompleted", "CancellationSettled")


class End(NamedTuple):
    """An order's final status, and why it was cancelled, if it was."""

    status: str
    reason: str | None


def expected(scenario: Scenario) -> list[End]:
    """The end of every purchase, in their order."""
    left, ends = scenario.scarce, []
    for purchase in scenario.purchases:
        quantity = sum(line["quantity"] for line in purchase.body["lines"] if line["sku"] == SCARCE)
        end = _end(purchase, in_stock=quantity <= left)
        left -= quantity if end.status == "COMPLETED" else 0
        ends.append(end)
    return ends


def _end(purchase: Purchase, in_stock: bool) -> End:
    path = list(_path(purchase, in_stock))
    if purchase.cancel_at in path and purchase.cancel_at not in _AFTER_THE_DECISION:
        return End("CANCELLED", "CUSTOMER_REQUESTED")
    refusals = {
        "StockRejected": "OUT_OF_STOCK",
        "PaymentDeclined": "PAYMENT_DECLINED",
        "ShipmentRefused": "SHIPPING_UNAVAILABLE",
    }
    return End("CANCELLED", refusals[path[-1]]) if path[-1] in refusals else End("COMPLETED", None)


def _path(purchase: Purchase, in_stock: bool) -> Iterator[str]:
    """The events up to the decision."""
    yield "OrderPlaced"
    if not in_stock:
        yield "StockRejected"
        return
    yield from ("StockReserved", "PaymentAuthorizationRequested")
    if purchase.body["payment"]["token"] not in GOOD_TOKENS:
        yield "PaymentDeclined"
        return
    yield from ("PaymentAuthorized", "ShipmentBookingRequested")
    if purchase.body["shipping_address"]["country"] in UNSERVED_COUNTRIES:
        yield "ShipmentRefused"
        return
    yield "ShipmentBooked"

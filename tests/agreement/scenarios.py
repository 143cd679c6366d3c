"""What customers do, as plain data: requests in a fixed sequence, some with a cancellation. All modes end them alike.

A scenario does not say how it is run. The simulator runs all of them; a driver of a real stack, which cannot stop at a
point, runs those that are `steady`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

PLENTY: Final = ("espresso-cup", "coffee-beans", "milk-jug", "item-0007")
SCARCE: Final = "sold-out"

POINTS: Final = (
    "OrderPlaced",
    "StockReserved",
    "StockRejected",
    "PaymentAuthorizationRequested",
    "PaymentAuthorized",
    "PaymentDeclined",
    "ShipmentBookingRequested",
    "ShipmentBooked",
    "ShipmentRefused",
    "OrderConfirmed",
    "OrderCompleted",
    "CancellationSettled",
)
"""Where a customer may cancel: right after this event was recorded, and before anybody receives it."""

_STEADY: Final = ("OrderConfirmed", "OrderCompleted", "CancellationSettled")
_TOKENS: Final = ("tok_visa",) * 6 + (
    "tok_declined",
    "tok_insufficient_funds",
    "tok_timeout",
    "tok_flaky",
    "tok_slow",
    "tok_of_no_bank",
)


@dataclass(frozen=True, slots=True)
class Purchase:
    """`body` goes to `POST /orders`; `cancel_at` is one of POINTS, or None. A point never reached cancels nothing."""

    body: Mapping[str, Any]
    cancel_at: str | None = None

    @property
    def steady(self) -> bool:
        """Whether the end does not depend on timing: a slow card leaves enough time to cancel."""
        slow = self.body["payment"]["token"] == "tok_slow" and self.cancel_at == "PaymentAuthorizationRequested"
        return slow or self.cancel_at is None or self.cancel_at in _STEADY


@dataclass(frozen=True, slots=True)
class Scenario:
    """`purchases` are made one after another, each when the one before is settled.

    `scarce`: how many pieces of SCARCE are available before the first; of everything else there is plenty.
    """

    name: str
    scarce: int
    purchases: tuple[Purchase, ...]

    @property
    def steady(self) -> bool:
        return all(purchase.steady for purchase in self.purchases)


def body(lines: Mapping[str, int], token: str = "tok_visa", country: str = "LV") -> Mapping[str, Any]:  # noqa: S107
    """A request as the order service accepts it."""
    return {
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()],
        "payment": {"token": token},
        "shipping_address": {
            "name": "A. Customer",
            "line1": "1 Main St",
            "city": "Riga",
            "postal_code": "LV-1010",
            "country": country,
        },
    }


_KINDS: Final = {
    "good": body({"espresso-cup": 2}),
    "slow": body({"milk-jug": 1}, token="tok_slow"),
    "sold out": body({"espresso-cup": 1, SCARCE: 1}),
    "declined": body({"coffee-beans": 3}, token="tok_declined"),
    "refused": body({"milk-jug": 1, "item-0007": 2}, country="AQ"),
}


def scenarios(count: int = 240, seed: int = 1) -> tuple[Scenario, ...]:
    """Every kind of order with a cancel at every point, then mixed ones derived from `seed`, `count` in all."""
    result = [
        Scenario(f"{kind}, cancelled at {point}" if point else kind, 0, (Purchase(request, point),))
        for kind, request in _KINDS.items()
        for point in (None, *POINTS)
    ]
    random = Random(seed)
    while len(result) < count:
        purchases = tuple(_purchase(random) for _ in range(random.randint(2, 5)))
        result.append(Scenario(f"mixed {len(result)}", random.randint(0, 5), purchases))
    return tuple(result[:count])


def _purchase(random: Random) -> Purchase:
    skus = random.sample(PLENTY, random.randint(0, 2)) + [SCARCE] * (random.random() < 0.7)
    lines = {sku: random.choice((1, 1, 2, 3)) for sku in skus or PLENTY[:1]}
    point = random.choice(POINTS) if random.random() < 0.35 else None
    return Purchase(body(lines, random.choice(_TOKENS), random.choice(("LV",) * 5 + ("AQ",))), point)

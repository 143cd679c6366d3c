"""The input of a run: orders, stock, and which providers answer at once. Plain values, derived from a seed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from checkout.messages import Address, Checkout, Line, Money, PlaceOrder
from checkout.sealing import seal_checkout
from tests.simulation.sealed import PAYMENT, SHIPPING

PRICES: Final[Mapping[str, int]] = {"cup": 1200, "beans": 900, "grinder": 8900}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`orders` in the order of their submission; `stock` is what has been received of each SKU."""

    orders: tuple[PlaceOrder, ...]
    stock: tuple[tuple[str, int], ...]
    instant: frozenset[str] = frozenset()


def order(
    order_id: str,
    lines: Iterable[tuple[str, int]] = (("cup", 1),),
    token: str = "tok_visa",  # noqa: S107 - a card that exists in no bank
    country: str = "LV",
    prices: Mapping[str, int] = PRICES,
) -> PlaceOrder:
    """An order as the order service's API hands it to the engine."""
    items = tuple(Line(sku, quantity, Money(prices[sku], "EUR")) for sku, quantity in lines)
    total = Money(sum(line.quantity * line.unit_price.amount for line in items), "EUR")
    address = Address("A. Customer", "1 Main St", "Riga", "LV-1010", country)
    checkout = seal_checkout(Checkout("alice", items, total, token, address), PAYMENT, SHIPPING)
    return PlaceOrder(order_id, f"key-{order_id}", f"digest-{order_id}", checkout)


KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "good": {},
    "sold out": {"lines": (("cup", 9),)},
    "declined": {"token": "tok_declined"},
    "refused": {"country": "AQ"},
}


def single(
    kind: str, instant: frozenset[str] = frozenset(), stock: tuple[tuple[str, int], ...] = (("cup", 2),)
) -> Scenario:
    """One order of that kind."""
    return Scenario((order("o1", **KINDS[kind]),), stock, instant)


def scenario_of(seed: int) -> Scenario:
    """One to three orders of mixed kinds that share scarce stock."""
    random = Random(f"scenario {seed}")
    orders = []
    for number in range(random.choice((1, 1, 2, 2, 3))):
        skus = random.choices(tuple(PRICES), weights=(6, 2, 1), k=random.choice((1, 1, 2)))
        orders.append(
            order(
                f"o{number + 1}",
                [(sku, random.choice((1, 1, 2))) for sku in skus],
                token=random.choice(("tok_visa",) * 5 + ("tok_declined",)),
                country=random.choice(("LV",) * 7 + ("AQ",)),
            )
        )
    stock = tuple((sku, random.choice((0, 1, 2, 2, 3, 4, 6))) for sku in PRICES)
    instant = random.choice(((), (), (), ("payment",), ("carrier",), ("payment", "carrier")))
    return Scenario(tuple(orders), stock, frozenset(instant))

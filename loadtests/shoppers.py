"""The kinds of orders that shoppers place, and the end that each kind must come to."""

import random
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of order: its share of the mix, and the `reason` of its cancellation; None: it must complete."""

    name: str
    weight: float
    token: str = "tok_visa"  # noqa: S105 - a test input of the provider's sandbox
    country: str = "LV"
    sku: str | None = None
    reason: str | None = None
    cancels: bool = False


KINDS: Final = (
    Kind("good", 0.78),
    Kind("sold-out", 0.05, sku="sold-out", reason="OUT_OF_STOCK"),
    Kind("declined", 0.05, token="tok_declined", reason="PAYMENT_DECLINED"),  # noqa: S106
    Kind("undeliverable", 0.05, country="AQ", reason="SHIPPING_UNAVAILABLE"),
    Kind("flaky-provider", 0.02, token="tok_flaky"),  # noqa: S106
    Kind("lost-answer", 0.01, token="tok_timeout"),  # noqa: S106
    Kind("cancelled", 0.04, cancels=True, reason="CUSTOMER_REQUESTED"),
)
ON_REQUEST: Final = (Kind("slow", 0.1, token="tok_slow"),)  # noqa: S106
"""Kinds that are in a mix only by name."""
COUNTRIES: Final = ("LV", "EE", "LT", "DE", "FR", "PT")


def mix(names: str) -> tuple[Kind, ...]:
    """Choose kinds by a comma-separated list of their names, each with a weight if wanted (`good:9,slow:1`), or `all`.

    Raises:
        ValueError: A name in the list is not known, or a weight is no number above 0.
    """
    if names == "all":
        return KINDS
    known = {kind.name: kind for kind in (*KINDS, *ON_REQUEST)}
    chosen = []
    for one in names.split(","):
        name, _, weight = one.strip().partition(":")
        if name not in known:
            raise ValueError(f"MIX={names!r} names no kind {name!r}; valid are: all, {', '.join(known)}")
        chosen.append(replace(known[name], weight=_weight(names, weight)) if weight else known[name])
    return tuple(chosen)


def _weight(names: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight < inf:
        raise ValueError(f"MIX={names!r}: the weight {text!r} is no number above 0")
    return weight


def pick(kinds: tuple[Kind, ...], dice: random.Random) -> Kind:
    """Draw a kind by the shares of the mix."""
    return dice.choices(kinds, [kind.weight for kind in kinds])[0]


def single(sku: str) -> dict[str, Any]:
    """The body of an order of one piece, which completes if the piece is in stock."""
    return {
        "lines": [{"sku": sku, "quantity": 1}],
        "payment": {"token": "tok_visa"},
        "shipping_address": {
            "name": "A. Customer",
            "line1": "1 Main St",
            "city": "Riga",
            "postal_code": "LV-1010",
            "country": "LV",
        },
    }


def body(kind: Kind, dice: random.Random) -> dict[str, Any]:
    """Draw the body of `POST /orders` for an order of that kind, with one to four lines of the large catalogue."""
    skus = [f"item-{dice.randint(1, 1000):04d}" for _ in range(dice.choice((1, 1, 1, 2, 2, 4)))]
    if kind.sku:
        skus[-1] = kind.sku
    return {
        "lines": [{"sku": sku, "quantity": dice.randint(1, 3)} for sku in dict.fromkeys(skus)],
        "payment": {"token": kind.token},
        "shipping_address": {
            "name": "A. Customer",
            "line1": f"{dice.randint(1, 200)} Main St",
            "city": "Riga",
            "postal_code": f"LV-{dice.randint(1000, 1999)}",
            "country": kind.country if kind.country != "LV" else dice.choice(COUNTRIES),
        },
    }

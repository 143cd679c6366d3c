"""The orders of the demo: one of every kind, and what each must end as."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Story:
    """One order of the basket.

    `expected` is the end that it must come to; `path` and `end` are what has become of it so far.
    """

    title: str
    expected: str
    sku: str = "espresso-cup"
    token: str = "tok_visa"  # noqa: S105 - a test input of the provider's sandbox
    country: str = "LV"
    cancel: bool = False
    path: list[str] = field(default_factory=list)
    end: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the order has ended as it must."""
        return self.end == self.expected

    def body(self) -> dict[str, Any]:
        """The body of `POST /orders`."""
        return {
            "lines": [{"sku": self.sku, "quantity": 2}],
            "payment": {"token": self.token},
            "shipping_address": {
                "name": "A. Customer",
                "line1": "1 Main St",
                "city": "Riga",
                "postal_code": "LV-1010",
                "country": self.country,
            },
        }


def basket() -> list[Story]:
    """A new story of every kind."""
    return [
        Story("good", "COMPLETED"),
        Story("sold out", "CANCELLED: OUT_OF_STOCK", sku="sold-out"),
        Story("card declined", "CANCELLED: PAYMENT_DECLINED", token="tok_declined"),  # noqa: S106
        Story("no funds", "CANCELLED: PAYMENT_DECLINED", token="tok_insufficient_funds"),  # noqa: S106
        Story("undeliverable address", "CANCELLED: SHIPPING_UNAVAILABLE", country="AQ"),
        Story("provider's answer lost", "COMPLETED", token="tok_timeout"),  # noqa: S106
        Story("provider fails twice", "COMPLETED", token="tok_flaky"),  # noqa: S106
        Story("cancelled in flight", "CANCELLED: CUSTOMER_REQUESTED", token="tok_slow", cancel=True),  # noqa: S106
    ]

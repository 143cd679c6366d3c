"""What several messages carry: money, lines, an address, the checkout; and what every message about an order has."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Money:
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    sku: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True, slots=True)
class Address:
    name: str
    line1: str
    city: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """What every hold needs to know about the order, so that no service has to join two events.

    The order service seals the token for payment and the address for shipping (`checkout.sealing`): everybody copies
    them as they are. In clear is what was written before, or without keys.
    """

    customer: str
    lines: tuple[Line, ...]
    total: Money
    payment_token: str
    address: Address | str


@dataclass(frozen=True, slots=True)
class AboutOrder:
    order_id: str

    @property
    def subject(self) -> str:
        return self.order_id

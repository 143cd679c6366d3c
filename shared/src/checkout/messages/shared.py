"""The parts that several messages carry, and the base of all messages about an order.

Money and Line are dataclasses, since the documents of the HTTP interfaces name them too.
"""

from dataclasses import dataclass

import msgspec

from sagakit.message import Message


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of an ISO 4217 currency."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    """How many pieces of one SKU were ordered, and the price of one piece."""

    sku: str
    quantity: int
    unit_price: Money


class Address(msgspec.Struct, frozen=True):
    """Where the parcel goes; `country` is an ISO 3166-1 alpha-2 code."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str


class Checkout(msgspec.Struct, frozen=True):
    """Everything about the order that a participant needs, so that none has to join two events.

    The order service seals `payment_token` for payment and `address` for shipping (`checkout.sealing`), and the others
    copy both unread. Both are in clear where they were written before sealing was introduced, or without keys.
    """

    customer: str
    lines: tuple[Line, ...]
    total: Money
    payment_token: str
    address: Address | str


class AboutOrder(Message, frozen=True):
    """A message about one order; `order_id` is a UUID."""

    order_id: str

    @property
    def subject(self) -> str:
        """The order."""
        return self.order_id

"""What is bought: baskets of 1 to 50 SKUs out of 10 to 100,000, of which some may be hot."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from secrets import token_bytes
from typing import Final

import msgspec

from checkout.catalogue import AMPLE, CATALOGUE, CURRENCY, Product
from checkout.messages import Address, Checkout, Money
from checkout.sealing import seal_checkout
from sagakit.sealing import KEY_BYTES, FernetSealer

MOST_AT_ONCE: Final = 3  # pieces of one SKU


def products(skus: int) -> Sequence[Product]:
    """So many products: those of the catalogue that are ample, then as many more as it takes."""
    known = [product for product in CATALOGUE if product.stock == AMPLE][:skus]
    more = (Product(f"fill-{number:06d}", f"Filling no. {number}", 100 + number % 900, 0) for number in range(skus))
    return [*known, *(product for product, _ in zip(more, range(skus - len(known)), strict=False))]


@dataclass(frozen=True, slots=True)
class Basket:
    """One basket: its checkout and the quantity of each SKU, as JSON and as values."""

    checkout: str
    lines: str
    quantities: dict[str, int]
    total: int
    customer: str


class Baskets:
    """Random baskets. The SKU in place n is bought n^-zipf times as often as the first one; with 0, all are equal."""

    def __init__(self, among: Sequence[Product], most_lines: int, zipf: float, dice: Random) -> None:
        self._products, self._most_lines, self._dice = among, min(most_lines, len(among)), dice
        self._weights = list(accumulate((place + 1) ** -zipf for place in range(len(among))))
        self._line = {
            product.sku: f'{{"sku":"{product.sku}","quantity":%d,"unit_price":'
            f'{{"amount":{product.price},"currency":"{CURRENCY}"}}}}'
            for product in among
        }
        nobody = FernetSealer(
            urlsafe_b64encode(token_bytes(KEY_BYTES)).decode()
        )  # as long as in a real run, and never to be opened: the orders are settled
        address = Address("A. Customer", "1 Main St", "Riga", "LV-1010", "LV")
        rest = seal_checkout(Checkout("", (), Money(0, CURRENCY), "tok_visa", address), nobody, nobody)
        _, total, end = msgspec.json.encode(rest).decode().partition('"total":{"amount":')
        self._end = f"],{total}%d{end.removeprefix('0')}"

    def __iter__(self) -> Iterator[Basket]:
        while True:
            yield self._basket(f"filled-{self._dice.randrange(10_000)}")

    def _basket(self, customer: str) -> Basket:
        chosen = self._dice.choices(
            self._products, cum_weights=self._weights, k=self._dice.randint(1, self._most_lines)
        )
        quantities: dict[str, int] = {}
        total = 0
        for product in chosen:
            if product.sku not in quantities:
                quantities[product.sku] = quantity = self._dice.randint(1, MOST_AT_ONCE)
                total += quantity * product.price
        lines = ",".join([self._line[sku] % quantity for sku, quantity in quantities.items()])
        checkout = f'{{"customer":"{customer}","lines":[{lines}{self._end % total}'
        of_each = ",".join([f'"{sku}":{quantity}' for sku, quantity in quantities.items()])
        return Basket(checkout, f"{{{of_each}}}", quantities, total, customer)

"""The seed catalogue: products with their prices and initial stock. Version 1.

Inventory loads the stock and order the prices, each into its own database, so that placing an order depends on no
other service.
"""

from dataclasses import dataclass
from typing import Final

VERSION: Final = 1
CURRENCY: Final = "EUR"
AMPLE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Product:
    """What is sold: `price` in minor units of CURRENCY, `stock` the pieces available at first."""

    sku: str
    name: str
    price: int
    stock: int


_NAMED: Final = (
    Product("espresso-cup", "Espresso cup", 1200, AMPLE),
    Product("espresso-machine", "Espresso machine", 64900, AMPLE),
    Product("coffee-beans", "Coffee beans, 1 kg", 1890, AMPLE),
    Product("milk-jug", "Milk jug", 2450, AMPLE),
    Product("tea-pot", "Tea pot", 3900, AMPLE),
    Product("limited-edition", "Limited edition grinder", 19900, 100),
    Product("sold-out", "Sold out long ago", 9900, 0),
)
_MATERIALS: Final = ("Oak", "Steel", "Glass", "Copper", "Linen", "Clay", "Cork", "Brass", "Bamboo", "Slate")
_THINGS: Final = ("Bowl", "Tray", "Mug", "Carafe", "Spoon", "Coaster", "Plate", "Tin", "Scoop", "Filter")


def _series() -> tuple[Product, ...]:
    return tuple(
        Product(
            f"item-{number:04d}",
            f"{_MATERIALS[number % 10]} {_THINGS[number // 10 % 10]} no. {number}",
            300 + number * 37 % 9700,
            AMPLE,
        )
        for number in range(1, 1001)
    )


CATALOGUE: Final = (*_NAMED, *_series())

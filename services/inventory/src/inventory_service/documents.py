"""What the document of the inventory service says: its answers, and an example."""

from typing import Final

from typing_extensions import TypedDict

from checkout.messages import Money


class StockItem(TypedDict):
    """Pieces of one SKU: all that were received are available, reserved for an order, or committed to one."""

    sku: str
    name: str
    price: Money
    received: int
    available: int
    reserved: int
    committed: int


class StockPage(TypedDict):
    """A page of the stock, by SKU."""

    items: list[StockItem]
    next_cursor: str | None


EXAMPLE: Final = {"sku": "espresso-cup"}

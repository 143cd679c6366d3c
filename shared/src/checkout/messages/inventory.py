"""The commands and events of the inventory service."""

from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


class ReserveStock(AboutOrder, Command, frozen=True):
    """Reserve the stock for all lines of the order, or for none."""

    checkout: Checkout


class CommitStock(AboutOrder, Command, frozen=True):
    """Commit the reserved stock, for the order is confirmed."""


class ReleaseStock(AboutOrder, Command, frozen=True):
    """Release the reserved stock, for the order is cancelled; refuse a reservation that comes later."""


class StockReserved(AboutOrder, Event, frozen=True):
    """The stock for all lines is reserved."""

    checkout: Checkout


class StockRejected(AboutOrder, Event, frozen=True):
    """Nothing is reserved. `missing` are the SKUs that are short; none if the order had been cancelled before."""

    missing: tuple[str, ...]
    customer: str = ""


class StockCommitted(AboutOrder, Event, frozen=True):
    """The reserved stock is committed, and will not be available again."""


class StockReleased(AboutOrder, Event, frozen=True):
    """The reservation is released: no stock is held for the order, and none will be committed."""


COMMANDS: Final[tuple[type[Command], ...]] = (
    ReserveStock,
    CommitStock,
    ReleaseStock,
)
EVENTS: Final[tuple[type[Event], ...]] = (
    StockReserved,
    StockRejected,
    StockCommitted,
    StockReleased,
)

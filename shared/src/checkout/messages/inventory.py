"""The commands and events of the inventory service."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class ReserveStock(AboutOrder, Command):
    """Reserve the stock for all lines of the order, or for none."""

    checkout: Checkout


@dataclass(frozen=True, slots=True)
class CommitStock(AboutOrder, Command):
    """Commit the reserved stock, for the order is confirmed."""


@dataclass(frozen=True, slots=True)
class ReleaseStock(AboutOrder, Command):
    """Release the reserved stock, for the order is cancelled; refuse a reservation that comes later."""


@dataclass(frozen=True, slots=True)
class StockReserved(AboutOrder, Event):
    """The stock for all lines is reserved."""

    checkout: Checkout


@dataclass(frozen=True, slots=True)
class StockRejected(AboutOrder, Event):
    """Nothing is reserved. `missing` are the SKUs that are short; none if the order had been cancelled before."""

    missing: tuple[str, ...]
    customer: str = ""


@dataclass(frozen=True, slots=True)
class StockCommitted(AboutOrder, Event):
    """The reserved stock is committed, and will not be available again."""


@dataclass(frozen=True, slots=True)
class StockReleased(AboutOrder, Event):
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

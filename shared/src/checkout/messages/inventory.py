"""The commands and events of the inventory service."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class ReserveStock(AboutOrder, Command):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class CommitStock(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class ReleaseStock(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class StockReserved(AboutOrder, Event):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class StockRejected(AboutOrder, Event):
    """`missing`: the SKUs that could not be had; empty when the order had been cancelled before."""

    missing: tuple[str, ...]
    customer: str = ""


@dataclass(frozen=True, slots=True)
class StockCommitted(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class StockReleased(AboutOrder, Event):
    pass


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

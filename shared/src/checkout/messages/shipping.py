"""The commands and events of the shipping service."""

from dataclasses import dataclass
from typing import Final

from checkout.messages.shared import AboutOrder, Checkout
from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class BookShipment(AboutOrder, Command):
    checkout: Checkout


@dataclass(frozen=True, slots=True)
class DispatchShipment(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class CancelShipment(AboutOrder, Command):
    pass


@dataclass(frozen=True, slots=True)
class ShipmentBooked(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class ShipmentRefused(AboutOrder, Event):
    code: str


@dataclass(frozen=True, slots=True)
class ShipmentDispatched(AboutOrder, Event):
    pass


@dataclass(frozen=True, slots=True)
class ShipmentCancelled(AboutOrder, Event):
    pass


COMMANDS: Final[tuple[type[Command], ...]] = (
    BookShipment,
    DispatchShipment,
    CancelShipment,
)
EVENTS: Final[tuple[type[Event], ...]] = (
    ShipmentBooked,
    ShipmentRefused,
    ShipmentDispatched,
    ShipmentCancelled,
)

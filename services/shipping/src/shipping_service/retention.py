"""What is left of a shipment for ever: its row without the checkout, which answers whatever still comes. Pure."""

from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from checkout.messages import ShipmentCancelled, ShipmentDispatched
from sagakit.message import Command, Event
from sagakit.service import Retention
from shipping_service.domain import DISPATCHED, Shipment


def ended(shipment: Shipment) -> bool:
    """Whether nothing that may still come changes it."""
    return not shipment.open and (shipment.status == DISPATCHED or shipment.closed)


def final(shipment: Shipment) -> Shipment:
    """The row that is left. Nobody needs the address or the card any more."""
    return replace(shipment, pruned=True, checkout=None)


def outcome(shipment: Shipment, command: Command | None) -> Event:
    """How it came out. Whatever is asked, this is all that the saga may still need to hear."""
    kind = ShipmentDispatched if shipment.status == DISPATCHED else ShipmentCancelled
    return kind(shipment.order_id)


RETENTION: Final = Retention(ended, attrgetter("pruned"), final, outcome)

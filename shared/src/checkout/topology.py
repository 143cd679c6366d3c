"""Who subscribes to what, in both styles. A test compares the choreography with each service's table of reactions."""

from collections.abc import Mapping
from typing import Final

from checkout import messages as m
from checkout.saga import CHECKOUT
from sagakit.message import Event
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION, Subscription, Topology, commands_channel, events_channel

SUBSCRIPTIONS: Final[Mapping[str, tuple[type[Event], ...]]] = {  # choreography: service -> the events it reacts to
    "order": (
        m.StockRejected,
        m.PaymentDeclined,
        m.ShipmentRefused,
        m.ShipmentBooked,
        m.StockCommitted,
        m.StockReleased,
        m.PaymentCaptured,
        m.PaymentVoided,
        m.ShipmentDispatched,
        m.ShipmentCancelled,
    ),
    "inventory": (m.OrderPlaced, m.OrderConfirmed, m.OrderCancelled),
    "payment": (m.StockReserved, m.OrderConfirmed, m.OrderCancelled),
    "shipping": (m.PaymentAuthorized, m.OrderConfirmed, m.OrderCancelled),
}


def choreography() -> Topology:
    """Each service subscribes to the events in SUBSCRIPTIONS. No command travels."""
    return Topology(
        tuple(
            Subscription(
                consumer,
                events_channel(CHOREOGRAPHY, owner),
                frozenset(kind.__name__ for kind in kinds if m.OWNER[kind] == owner),
            )
            for consumer, kinds in SUBSCRIPTIONS.items()
            for owner in sorted({m.OWNER[kind] for kind in kinds})
        )
    )


def orchestration() -> Topology:
    """The owner of the saga subscribes to the events of all participants, and each participant to its own commands."""
    participants = [step.participant for step in CHECKOUT.steps]
    events = {owner: frozenset(kind.__name__ for kind in kinds) for owner, kinds in m.EVENTS_OF.items()}
    commands = {owner: frozenset(kind.__name__ for kind in kinds) for owner, kinds in m.COMMANDS_OF.items()}
    return Topology(
        tuple(Subscription(CHECKOUT.owner, events_channel(ORCHESTRATION, name), events[name]) for name in participants)
        + tuple(Subscription(name, commands_channel(name), commands[name]) for name in participants)
    )


def topology_of(style: str) -> Topology:
    """The topology of a style, CHOREOGRAPHY or ORCHESTRATION."""
    return choreography() if style == CHOREOGRAPHY else orchestration()

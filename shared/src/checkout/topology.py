"""The wiring of both styles. A test holds the choreography against each service's own reactions table."""

from collections.abc import Mapping
from typing import Final

from checkout import messages as m
from checkout.saga import CHECKOUT
from sagakit.message import Event
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION, Subscription, Topology, commands_channel, events_channel

SUBSCRIPTIONS: Final[Mapping[str, tuple[type[Event], ...]]] = {
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
    participants = [step.participant for step in CHECKOUT.steps]
    names = {owner: frozenset(kind.__name__ for kind in kinds) for owner, kinds in m.EVENTS_OF.items()}
    commands = {owner: frozenset(kind.__name__ for kind in kinds) for owner, kinds in m.COMMANDS_OF.items()}
    return Topology(
        tuple(Subscription(CHECKOUT.owner, events_channel(ORCHESTRATION, one), names[one]) for one in participants)
        + tuple(Subscription(one, commands_channel(one), commands[one]) for one in participants)
    )


def topology_of(style: str) -> Topology:
    return choreography() if style == CHOREOGRAPHY else orchestration()

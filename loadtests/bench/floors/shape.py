"""The messages of an order in a running stack: their kinds, how many of each, how large, and who receives them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from checkout.topology import topology_of
from loadtests.bench.measure import samples
from quartet_stack.settings import SERVICES
from sagakit.modes import MODES, resolve
from sagakit.topology import Subscription, Topology, commands_channel, events_channel

ONCE: Final = "StockReserved"
"""In both styles, every order that completes publishes it once."""
ENOUGH: Final = 100  # orders, before their mean is worth anything
PREFIX: Final = "floor-"


class NothingRecorded(Exception):
    """The stack has carried too few orders, or none in a mode with a broker."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One message type: its channel, how many an order publishes, and how many bytes its body has in the mean."""

    type: str
    channel: str
    each: float
    size: int
    consumers: int


def recorded(stack: Mapping[str, str], substrate: str) -> tuple[Topology, list[Kind]]:
    """The wiring of the stack's mode, and what its services say that they have published since they started.

    Raises:
        NothingRecorded: That is not enough, or another mode runs; the message says what to do.
    """
    mode = MODES[resolve(stack["COORDINATION_MODE"])]
    if mode.substrate != substrate:
        raise NothingRecorded(f"the stack runs {mode.name}; first: make up MODE=<a mode over {substrate}>")
    topology = topology_of(mode.style)
    published: dict[tuple[str, str], tuple[float, float]] = {}
    for service in SERVICES:
        for name, figures in _published(stack[f"{service.upper()}_URL"]).items():
            published[service, name] = figures
    orders = sum(number for (_, name), (number, _) in published.items() if name == ONCE)
    if orders < ENOUGH:
        raise NothingRecorded(f"the stack has carried {orders:.0f} orders, {ENOUGH} are needed; first: make load")
    return topology, [
        Kind(name, _channel(topology, service, name), number / orders, round(size / number), _consumers(topology, name))
        for (service, name), (number, size) in published.items()
        if number
    ]


def apart(topology: Topology) -> Topology:
    """The same wiring under other names, so that the services receive nothing of it."""
    return Topology(
        tuple(Subscription(one.consumer, PREFIX + one.channel, one.types) for one in topology.subscriptions)
    )


def stream(kinds: list[Kind]) -> Iterator[Kind]:
    """The messages of one order after another, without end."""
    owed = dict.fromkeys(kinds, 0.0)
    for _ in count():
        for kind in kinds:
            owed[kind] += kind.each
            while owed[kind] >= 1:
                owed[kind] -= 1
                yield kind


def body(kind: Kind) -> bytes:
    """A JSON text as long as the messages of that kind, with as many quotes as they have."""
    return (b'{"a":"01234567",' + b'"id":"0123456789ab",' * (kind.size // 20 + 1))[: kind.size]


def deliveries(kinds: list[Kind]) -> float:
    """How many messages the consumers of one order receive together."""
    return sum(kind.each * kind.consumers for kind in kinds)


def hops(topology: Topology) -> int:
    """How many messages follow one another from an order's placing to its end."""
    return 8 if topology.style == "orchestration" else 6


def _published(url: str) -> dict[str, tuple[float, float]]:
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in samples(url):
        if re.fullmatch("saga_outbox_published(_bytes)?_total", sample.name):
            found[sample.labels["name"]][sample.name] = sample.value
    return {
        name: (values["saga_outbox_published_total"], values["saga_outbox_published_bytes_total"])
        for name, values in found.items()
    }


def _channel(topology: Topology, service: str, name: str) -> str:
    commands = {
        type_: one.channel
        for one in topology.subscriptions
        if one.channel == commands_channel(one.consumer)
        for type_ in one.types
    }
    return commands.get(name, events_channel(topology.style, service))


def _consumers(topology: Topology, name: str) -> int:
    return sum(name in one.types for one in topology.subscriptions)

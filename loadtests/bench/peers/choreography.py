"""The checkout as a choreography over topics, which the peers over Kafka have in common: who reacts to which event.

Every event carries the order. A consumer does the step in a transaction, then publishes the event that follows, and
only then lets the consumed message be acknowledged: a crash in between repeats the step, which changes nothing, and
publishes the event again, which its consumers know by the id of its message.
"""

from asyncio import Event
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from loadtests.bench.peers.asynchronous import Databases
from loadtests.bench.peers.work import SERVICES, Order

PREFIX: Final = "peer."


@dataclass(frozen=True, slots=True)
class Reaction:
    """A service does `step` when it hears the event, and publishes `event` afterwards, if any."""

    step: str
    event: str = ""


REACTIONS: Final[Mapping[str, Mapping[str, Reaction]]] = {
    "inventory": {"placed": Reaction("reserve", "reserved"), "confirmed": Reaction("commit", "committed")},
    "payment": {"reserved": Reaction("authorize", "authorized"), "confirmed": Reaction("capture", "captured")},
    "shipping": {"authorized": Reaction("book", "booked"), "confirmed": Reaction("dispatch", "dispatched")},
    "order": {
        "booked": Reaction("confirm", "confirmed"),
        "committed": Reaction("note"),
        "captured": Reaction("note"),
        "dispatched": Reaction("note"),
    },
}
FIRST: Final = "placed"
TOPICS: Final = tuple(PREFIX + name for name in SERVICES)
"""One for the events of each service."""
SUBSCRIPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "inventory": (f"{PREFIX}order",),
    "payment": (f"{PREFIX}order", f"{PREFIX}inventory"),
    "shipping": (f"{PREFIX}order", f"{PREFIX}payment"),
    "order": (f"{PREFIX}inventory", f"{PREFIX}payment", f"{PREFIX}shipping"),
}
Publish = Callable[[str, Mapping[str, Any], bytes], Awaitable[None]]
"""Publishes a message, as JSON and with a key, to a topic, and returns when the broker has it."""


class Service:
    """The part of one service. Orders whose end is awaited are in `waiting`."""

    def __init__(self, name: str, databases: Databases, publish: Publish) -> None:
        self._name, self._databases, self._publish = name, databases, publish
        self.waiting: dict[str, Event] = {}

    async def heard(self, content: Mapping[str, Any]) -> None:
        """Take part, if the message is an event that this service reacts to."""
        event, order = content["event"], Order(**content["order"])
        reaction = REACTIONS[self._name].get(event)
        if reaction is None:
            return
        await self._databases.do(reaction.step, order, event if reaction.step == "note" else "")
        if reaction.event:
            await self.tell(reaction.event, order)
        elif (waits := self.waiting.get(order.order_id)) and await self._databases.completed(order):
            waits.set()

    async def tell(self, event: str, order: Order) -> None:
        """Publish an event about an order."""
        content = {"event": event, "order": asdict(order)}
        await self._publish(PREFIX + self._name, content, order.order_id.encode())

    async def buy(self, order: Order) -> None:
        """Place an order, and wait until it has completed."""
        self.waiting[order.order_id] = done = Event()
        try:
            await self._databases.do("place", order)
            await self.tell(FIRST, order)
            await done.wait()
        finally:
            del self.waiting[order.order_id]

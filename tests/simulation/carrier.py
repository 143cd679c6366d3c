"""The brokers of both styles: messages in flight, messages that wait for a consumer of their style, delayed messages.

Delivery is at least once and in no order. A broker keeps its messages while its style is not in use, and delivers
them after a switch back. A delayed message may arrive at any later time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

from checkout.topology import topology_of
from sagakit.envelope import Envelope
from sagakit.ports import OutboxRow
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION

STYLES: Final = (CHOREOGRAPHY, ORCHESTRATION)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message on its way to one consumer, over the broker of one style."""

    consumer: str
    envelope: Envelope
    style: str
    key: str  # consumer and id

    @property
    def place(self) -> tuple[str, str]:
        """The key with the style: both brokers may have a message of the same id for the same consumer."""
        return self.style, self.key


@cache
def consumers() -> Mapping[tuple[str, str], Sequence[tuple[str, str]]]:
    """(channel, message type) -> the (consumer, style) pairs that subscribe to it."""
    by_channel: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for style in STYLES:
        for one in topology_of(style).subscriptions:
            for kind in one.types:
                by_channel.setdefault((one.channel, kind), []).append((one.consumer, style))
    return by_channel


@cache
def channels(style: str) -> frozenset[str]:
    """The channels that a service may publish to under `style`."""
    return frozenset(topology_of(style).channels)


class Carrier:
    """Carries messages: `awake` can be delivered now, `asleep` wait for a consumer of their style, some are `delayed`.

    `running`: the style of each service's processes. `eternal`: a message stays deliverable for ever once it
    is sent, so one of each is enough.
    """

    def __init__(self, running: Mapping[str, str], eternal: bool) -> None:
        self.running, self.eternal = dict(running), eternal
        self.awake: dict[str, list[Parcel]] = {}
        self.asleep: dict[tuple[str, str], list[Parcel]] = {}
        self.delayed: dict[tuple[str, str], Parcel] = {}

    def copy(self) -> "Carrier":
        twin = Carrier(self.running, self.eternal)
        twin.awake = {key: list(parcels) for key, parcels in self.awake.items()}
        twin.asleep = {place: list(parcels) for place, parcels in self.asleep.items()}
        twin.delayed = dict(self.delayed)
        return twin

    def under_way(self) -> list[tuple[str, str]]:
        """The sorted (style, key) of everything that can still be delivered."""
        awake = [parcels[0].place for parcels in self.awake.values()]
        return sorted({*awake, *self.asleep, *self.delayed})

    def knows(self, service: str, channel: str) -> bool:
        """Whether a process of `service` publishes to `channel` in its style; rows of another are dropped."""
        return channel in channels(self.running[service])

    def send(self, row: OutboxRow, envelope: Envelope) -> None:
        """Send a message to every subscriber of the row's channel and type."""
        for consumer, style in consumers().get((row.channel, row.type), ()):
            self.post(Parcel(consumer, envelope, style, f"{consumer} < {row.id}"))

    def post(self, parcel: Parcel) -> None:
        if self.running[parcel.consumer] == parcel.style:
            _put(self.awake, parcel.key, parcel, self.eternal)
        else:
            _put(self.asleep, parcel.place, parcel, self.eternal)

    def lose(self, keys: Iterable[str]) -> None:
        """Remove one message of each key, because it was handled or is lost."""
        for key in keys:
            self.awake[key].pop(0)
            if not self.awake[key]:
                del self.awake[key]

    def delay(self, key: str, copied: bool) -> None:
        """Delay a message, or, if `copied`, a duplicate of it. At most one message of each key is delayed."""
        parcel = self.awake[key][0]
        self.delayed[parcel.place] = parcel
        if not copied:
            self.lose([key])

    def arrive(self, style: str, key: str) -> None:
        """Let a delayed message arrive at its broker."""
        self.post(self.delayed.pop((style, key)))

    def run(self, service: str, style: str) -> None:
        """Restart the processes of `service` in `style`."""
        if self.running[service] == style:
            return
        self.running[service] = style
        old, self.awake = self.awake, {}
        waiting, self.asleep = self.asleep, {}
        for parcels in (*old.values(), *waiting.values()):
            for parcel in parcels:
                self.post(parcel)

    def forget(self) -> None:
        """Lose everything in both brokers."""
        self.awake, self.asleep, self.delayed = {}, {}, {}


Key = TypeVar("Key", str, tuple[str, str])


def _put(there: dict[Key, list[Parcel]], key: Key, parcel: Parcel, once: bool) -> None:
    if not (once and key in there):
        there.setdefault(key, []).append(parcel)

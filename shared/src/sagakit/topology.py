"""Who receives what: the whole wiring of a mode as data, so that every process can create all of it."""

from dataclasses import dataclass
from typing import Final

ORCHESTRATION: Final = "orchestration"
CHOREOGRAPHY: Final = "choreography"


@dataclass(frozen=True, slots=True)
class Subscription:
    """`consumer` (a service) receives from `channel` the messages of these `types`."""

    consumer: str
    channel: str
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Topology:
    """All subscriptions of one style."""

    subscriptions: tuple[Subscription, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of all channels, sorted."""
        return tuple(sorted({subscription.channel for subscription in self.subscriptions}))

    @property
    def consumers(self) -> tuple[str, ...]:
        """The services that receive anything, sorted."""
        return tuple(sorted({subscription.consumer for subscription in self.subscriptions}))

    @property
    def style(self) -> str:
        """The style whose wiring this is: the name of every channel begins with it."""
        return self.channels[0].partition(".")[0]

    def of(self, consumer: str) -> tuple[Subscription, ...]:
        """The subscriptions of one service."""
        return tuple(subscription for subscription in self.subscriptions if subscription.consumer == consumer)


def events_channel(style: str, service: str) -> str:
    """The channel of a service's events under a style."""
    return f"{style}.{service}.events"


def commands_channel(service: str) -> str:
    """The channel of the commands to a participant under an orchestrator."""
    return f"{ORCHESTRATION}.{service}.commands"

"""The two styles over any broker: what a recorded event puts on the wire, and what a delivery asks of the service.

Choreography: a service publishes its events and reacts to the events of others by its own table; no service names
another service's command. Orchestration: participants accept commands and answer with events; the saga's owner turns
every event into the next commands with `advance`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, message_id
from sagakit.saga import Saga, advance
from sagakit.service import Service
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION, commands_channel, events_channel
from sagakit.work import Continue, Execute, Item


class Style(Protocol):
    """Who turns an event into the next command. Pure."""

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """The (channel, message) pairs for an event that this service recorded or continues."""

    def accept(self, envelope: Envelope) -> Item | None:
        """What a delivered message asks of the service; None if the service has nothing to do with it."""


@dataclass(frozen=True, slots=True)
class Choreography:
    """A service that publishes its own events and reacts to those of others."""

    service: Service

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """The event itself, on the service's own channel."""
        return ((events_channel(CHOREOGRAPHY, self.service.name), event),)

    def accept(self, envelope: Envelope) -> Item | None:
        """The command that the service's table of reactions makes of an event."""
        reaction = self.service.reactions.get(type(envelope.message))  # type: ignore[arg-type]
        if reaction is None:
            return None
        return Execute(reaction(envelope.message), envelope.id, envelope.traceparent)


@dataclass(frozen=True, slots=True)
class Participation:
    """A participant under an orchestrator: commands in, events out."""

    service: Service

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """The event as the answer to the orchestrator, on the participant's own channel."""
        return ((events_channel(ORCHESTRATION, self.service.name), event),)

    def accept(self, envelope: Envelope) -> Item | None:
        """A command of this service."""
        message = envelope.message
        if not isinstance(message, Command) or type(message) not in self.service.commands:
            return None
        return Execute(message, envelope.cause, envelope.traceparent)


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """The saga's owner: it executes its own commands and sends the participants' commands through the outbox."""

    service: Service
    saga: Saga

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """The participants' commands that the event leads to, each on its participant's channel."""
        return tuple(
            (commands_channel(participant), command)
            for command in advance(self.saga, event)
            if (participant := self.saga.participant_of(type(command)))
        )

    def accept(self, envelope: Envelope) -> Item | None:
        """What a participant's answer leads to: a command of the owner, or the next participant's command."""
        event = envelope.message
        if not isinstance(event, Event):
            return None
        for command in advance(self.saga, event):
            if type(command) in self.service.commands:
                return Execute(command, message_id(event), envelope.traceparent)
            return Continue(event, envelope.traceparent)
        return None


def style_of(style: str, service: Service, saga: Saga) -> Style:
    """The style of that name as `service` plays it: with orchestration its owner orchestrates, others participate."""
    if style == CHOREOGRAPHY:
        return Choreography(service)
    return Orchestrator(service, saga) if service.name == saga.owner else Participation(service)

"""The two styles over any broker: what a recorded event puts on the wire, and what a delivery asks of the door.

Choreography: a service publishes its events and reacts to others' by its own table; no service names another
service's command. Orchestration: participants accept commands and answer with events; the saga's owner turns every
event into the next commands with `advance`.
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
    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        """The (channel, message) pairs for an event that this service recorded, or carries on."""

    def accept(self, envelope: Envelope) -> Item | None:
        """What a delivery asks of the door; None if it is nothing to this service."""


@dataclass(frozen=True, slots=True)
class Choreography:
    service: Service

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        return ((events_channel(CHOREOGRAPHY, self.service.name), event),)

    def accept(self, envelope: Envelope) -> Item | None:
        reaction = self.service.reactions.get(type(envelope.message))  # type: ignore[arg-type]
        if reaction is None:
            return None
        return Execute(reaction(envelope.message), envelope.id, envelope.traceparent)


@dataclass(frozen=True, slots=True)
class Participation:
    """A participant under an orchestrator: commands in, events out."""

    service: Service

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        return ((events_channel(ORCHESTRATION, self.service.name), event),)

    def accept(self, envelope: Envelope) -> Item | None:
        message = envelope.message
        if not isinstance(message, Command) or type(message) not in self.service.commands:
            return None
        return Execute(message, envelope.cause, envelope.traceparent)


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """The saga's owner: its own commands go through its own door, the others' through the outbox."""

    service: Service
    saga: Saga

    def outgoing(self, event: Event, *, again: bool = False) -> Sequence[tuple[str, Message]]:
        participants: dict[object, str] = {
            command: step.participant for step in self.saga.steps for command in (step.do, step.settle, step.undo)
        }
        return tuple(
            (commands_channel(participants[type(command)]), command)
            for command in advance(self.saga, event)
            if type(command) in participants
        )

    def accept(self, envelope: Envelope) -> Item | None:
        event = envelope.message
        if not isinstance(event, Event):
            return None
        for command in advance(self.saga, event):
            if type(command) in self.service.commands:
                return Execute(command, message_id(event), envelope.traceparent)
            return Continue(event, envelope.traceparent)
        return None


def style_of(style: str, service: Service, saga: Saga) -> Style:
    if style == CHOREOGRAPHY:
        return Choreography(service)
    return Orchestrator(service, saga) if service.name == saga.owner else Participation(service)

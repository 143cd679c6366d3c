"""Choreography: every service keeps a workflow per order, which hears the others' events and does its own next step.

What comes next is known by each service's reactions table alone; no workflow sees the whole. An event is published
by telling each subscriber's workflow, which is started if it does not run.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from temporalio import workflow

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, Vocabulary, message_id
from sagakit.modes import CHOREOGRAPHY
from sagakit.modes.temporal.activities import Activity, entering, local
from sagakit.modes.temporal.wire import Call, Note, Start, message_of, note_of
from sagakit.participant import Participant
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.styles import events_channel
from sagakit.topology import Topology

WORKFLOW: Final = "Reactions"
HEARD_SIGNAL: Final = "heard"
IDLE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Table:
    """What one service's workflows know: its reactions, and after which of its commands there is nothing to come.

    `last` says whether the door must have answered, too: the owner has heard enough with its third record.
    """

    wire: Vocabulary
    reactions: Mapping[type[Event], Callable[[Any], Command]]
    last: Mapping[Any, bool]


@workflow.defn(name=WORKFLOW, sandboxed=False)
class ReactionsWorkflow:
    """Its id is `<service>/<subject>`. Ends after the last step, or when idle; a later signal starts it again."""

    tables: ClassVar[dict[str, Table]] = {}

    @workflow.init
    def __init__(self, start: Start) -> None:
        self._start, self._done = start, False
        self._table = self.tables[workflow.info().workflow_id.partition("/")[0]]

    @workflow.run
    async def run(self, start: Start) -> str:
        with suppress(TimeoutError):  # what comes later starts the next run
            await workflow.wait_condition(lambda: self._done, timeout=IDLE)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return "done" if self._done else "idle"

    @workflow.signal(name=HEARD_SIGNAL)
    async def heard(self, note: Note) -> None:
        event = message_of(self._table.wire, note)
        reaction = self._table.reactions.get(type(event))
        if reaction is None:
            return
        command = reaction(event)
        asked = note_of(self._table.wire, command, message_id(event), note.traceparent)
        answer = await local(asked, self._start)
        answered = self._table.last.get(type(command))
        self._done = self._done or answered is False or (answered is True and answer is not None)


class Member:
    """A service that tells its events to those who listen, and listens itself."""

    local_only = True
    workflows: Sequence[type[Any]] = (ReactionsWorkflow,)

    def __init__(self, settings: Settings, service: Service, saga: Saga, topology: Topology) -> None:
        self._retries = (settings.retry_initial, settings.retry_max)
        self._channel = events_channel(CHOREOGRAPHY, service.name)
        self._listeners = [one for one in topology.subscriptions if one.channel == self._channel]
        last: dict[Any, bool] = {step.record: True for step in saga.steps}
        last |= {command: False for step in saga.steps for command in (step.settle, step.undo)}
        ReactionsWorkflow.tables[service.name] = Table(service.wire, service.reactions, last)

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        """The event, unless nobody listens to its kind."""
        name = type(event).__name__
        return ((self._channel, event),) if any(name in one.types for one in self._listeners) else ()

    def calls(self, channel: str, envelope: Envelope, note: Note, age: float) -> Sequence[Call]:
        """A signal to the workflow of each listener."""
        if channel != self._channel:
            return ()
        subject, start = envelope.message.subject, Start(None, *self._retries)
        return [
            Call(f"{one.consumer}/{subject}", one.consumer, WORKFLOW, start, (HEARD_SIGNAL, note))
            for one in self._listeners
            if note.type in one.types
        ]

    def activities(self, participant: Participant) -> Sequence[Activity]:
        return entering(participant)

"""Choreography: every service keeps a workflow per order, which hears the others' events and does its own next step.

What comes next is known by each service's reactions table alone; no workflow sees the whole. An event is published
by telling each subscriber's workflow, which is started if it does not run.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from temporalio import workflow
from temporalio.common import RawValue

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, UnknownMessage, Vocabulary, message_id
from sagakit.modes.temporal.activities import ask
from sagakit.modes.temporal.listening import IDLE, UNREADABLE, Listener
from sagakit.modes.temporal.wire import MessagePayload, ParticipantRole, StartWorkflow, WorkflowInput, note_of
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.topology import CHOREOGRAPHY, Topology, events_channel


@dataclass(frozen=True, slots=True)
class ReactionTable:
    """What one service's workflows know: its reactions, and after which of its commands there is nothing to come.

    `last` says whether the door must have answered, too: the owner has heard enough with its third record.
    """

    wire: Vocabulary
    reactions: Mapping[type[Event], Callable[[Any], Command]]
    last: Mapping[Any, bool]


@workflow.defn(dynamic=True, sandboxed=False)
class ReactionsWorkflow(Listener):
    """Its id is `<service>/<subject>`. Ends after the last step, or when idle; a later signal starts it again."""

    KIND, SIGNAL = "Reactions", "heard"
    tables: ClassVar[dict[str, ReactionTable]] = {}
    _done = False

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> str:
        if self._fault:
            await self._bury(args, self._fault)
        else:
            with suppress(TimeoutError):  # what comes later starts the next run
                await workflow.wait_condition(lambda: self._done, timeout=IDLE)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return UNREADABLE if self._fault else "done" if self._done else "idle"

    def _opened(self, workflow_id: str) -> tuple[Vocabulary, str]:
        service, _, subject = workflow_id.partition("/")
        if service not in self.tables or not subject:
            raise UnknownMessage(f"{workflow_id} is not <service>/<subject>")
        self._table = self.tables[service]
        return self._table.wire, subject

    async def _hear(self, event: Event, note: MessagePayload) -> None:
        reaction = self._table.reactions.get(type(event))
        if reaction is None:
            return
        try:
            command = reaction(event)
        except Exception as error:
            raise UnknownMessage(f"{note.type}: {type(error).__name__}") from error
        asked = note_of(self._table.wire, command, message_id(event), note.traceparent)
        answer = await ask(asked.type, asked, self._start)
        answered = self._table.last.get(type(command))
        self._done = self._done or answered is False or (answered is True and bool(answer.payload.data))


class ChoreographyRole(ParticipantRole):
    """A service that tells its events to those who listen, and listens itself."""

    workflows = (ReactionsWorkflow,)

    def __init__(self, settings: Settings, service: Service, saga: Saga, topology: Topology) -> None:
        self._retries = (settings.retry_initial, settings.retry_max)
        self._channel = events_channel(CHOREOGRAPHY, service.name)
        self._listeners = [one for one in topology.subscriptions if one.channel == self._channel]
        last: dict[Any, bool] = {step.record: True for step in saga.steps}
        last |= {command: False for step in saga.steps for command in (step.settle, step.undo)}
        ReactionsWorkflow.tables[service.name] = ReactionTable(service.wire, service.reactions, last)

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        """The event, unless nobody listens to its kind."""
        name = type(event).__name__
        return ((self._channel, event),) if any(name in one.types for one in self._listeners) else ()

    def calls(self, channel: str, envelope: Envelope, note: MessagePayload, age: float) -> Sequence[StartWorkflow]:
        """A signal to the workflow of each listener."""
        if channel != self._channel:
            return ()
        subject, start, told = envelope.message.subject, WorkflowInput(None, *self._retries), ReactionsWorkflow
        return [
            StartWorkflow(f"{one.consumer}/{subject}", one.consumer, told.KIND, start, (told.SIGNAL, note))
            for one in self._listeners
            if note.type in one.types
        ]

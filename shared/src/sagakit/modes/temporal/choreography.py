"""Choreography: every service has a workflow per order, which receives the others' events and reacts to them.

An event is published by signalling each subscriber's workflow, which is started if it does not run.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from temporalio import workflow
from temporalio.common import RawValue

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, UnknownMessage, Vocabulary, message_id
from sagakit.modes.temporal.activities import run_activity
from sagakit.modes.temporal.dynamic import IDLE, UNREADABLE, DynamicWorkflow
from sagakit.modes.temporal.wire import MessagePayload, ParticipantRole, StartWorkflow, WorkflowInput, payload_of
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings
from sagakit.topology import CHOREOGRAPHY, Topology, events_channel


@dataclass(frozen=True, slots=True)
class ReactionTable:
    """What one service's workflows know: its reactions, and the commands after which a workflow may end.

    `last` tells for each of these commands whether it must have been answered, as the owner's third record is.
    """

    wire: Vocabulary
    reactions: Mapping[type[Event], Callable[[Any], Command]]
    last: Mapping[Any, bool]


@workflow.defn(dynamic=True, sandboxed=False)
class ReactionsWorkflow(DynamicWorkflow):
    """One service's reactions to one order's events; its id is `<service>/<order id>`. May end and be started again."""

    TYPE, SIGNAL = "Reactions", "heard"
    tables: ClassVar[dict[str, ReactionTable]] = {}
    _done = False

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> str:
        """Wait for signals until the last command is executed, or none has come for IDLE seconds."""
        if self._input_error:
            await self._dead_letter(args, self._input_error)
        else:
            with suppress(TimeoutError):  # a later signal starts the next run
                await workflow.wait_condition(lambda: self._done, timeout=IDLE)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return UNREADABLE if self._input_error else "done" if self._done else "idle"

    def _identify(self, workflow_id: str) -> tuple[Vocabulary, str]:
        service, _, subject = workflow_id.partition("/")
        if service not in self.tables or not subject:
            raise UnknownMessage(f"{workflow_id} is not <service>/<subject>")
        self._table = self.tables[service]
        return self._table.wire, subject

    async def _on_event(self, event: Event, payload: MessagePayload) -> None:
        reaction = self._table.reactions.get(type(event))
        if reaction is None:
            return
        try:
            command = reaction(event)
        except Exception as error:
            raise UnknownMessage(f"{payload.type}: {type(error).__name__}") from error
        request = payload_of(self._table.wire, command, message_id(event), payload.traceparent)
        answer = await run_activity(request.type, request, self._input)
        needs_answer = self._table.last.get(type(command))
        self._done = self._done or needs_answer is False or (needs_answer is True and bool(answer.payload.data))


class ChoreographyRole(ParticipantRole):
    """A service under choreography: it signals its events to their subscribers, and reacts to those of others."""

    workflows = (ReactionsWorkflow,)

    def __init__(self, settings: Settings, service: Service, saga: Saga, topology: Topology) -> None:
        self._retries = (settings.retry_initial, settings.retry_max)
        self._channel = events_channel(CHOREOGRAPHY, service.name)
        self._subscriptions = [one for one in topology.subscriptions if one.channel == self._channel]
        last: dict[Any, bool] = {step.record: True for step in saga.steps}
        last |= {command: False for step in saga.steps for command in (step.settle, step.undo)}
        ReactionsWorkflow.tables[service.name] = ReactionTable(service.wire, service.reactions, last)

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        """The event, unless nobody subscribes to its type."""
        name = type(event).__name__
        return ((self._channel, event),) if any(name in one.types for one in self._subscriptions) else ()

    def starts(self, channel: str, envelope: Envelope, payload: MessagePayload, age: float) -> Sequence[StartWorkflow]:
        """A signal to the workflow of each subscriber."""
        if channel != self._channel:
            return ()
        subject, input_ = envelope.message.subject, WorkflowInput(None, *self._retries)
        type_, signal = ReactionsWorkflow.TYPE, (ReactionsWorkflow.SIGNAL, payload)
        services = [one.consumer for one in self._subscriptions if payload.type in one.types]
        return [StartWorkflow(f"{name}/{subject}", name, type_, input_, signal) for name in services]

"""Orchestration: one workflow per order, in the saga's owner, walks the saga with `advance`.

The owner's own commands are local activities of the workflow's worker; the others are activities on each
participant's queue. The workflow decides nothing: it learns from the owner's answers what has been decided.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from temporalio import workflow

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, Vocabulary, message_id
from sagakit.modes.temporal.activities import Activity, concluding, entering, local, remote
from sagakit.modes.temporal.wire import Call, Note, Start, message_of, note_of
from sagakit.orchestration import advance
from sagakit.participant import Participant
from sagakit.saga import Saga
from sagakit.service import Service
from sagakit.settings import Settings

WORKFLOW: Final = "Saga"
DECIDED_SIGNAL: Final = "decided"
START: Final = "temporal.start"
DECIDED: Final = "temporal.decided"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the workflow knows besides its history: the saga, the words, and who does which command."""

    saga: Saga
    wire: Vocabulary
    doers: Mapping[Any, str]

    def decides(self, event: Event) -> bool:
        return type(event) in (self.saga.confirmed, self.saga.cancelled)


def plan_of(saga: Saga, wire: Vocabulary) -> Plan:
    doers = {command: step.participant for step in saga.steps for command in (step.do, step.settle, step.undo)}
    return Plan(saga, wire, doers)


class Walk:
    """One run through the saga. Deterministic: reads nothing but its plan, its start and what it is told."""

    def __init__(self, plan: Plan, start: Start) -> None:
        self._plan, self._start = plan, start
        self._first: Event | None = message_of(plan.wire, start.note) if start.note else None
        self._traceparent = start.note.traceparent if start.note else None
        self._decision: Event | None = None

    async def run(self) -> str:
        """Hold until the decision is known, then settle until all have answered; says which it was."""
        hold = asyncio.create_task(self._hold())
        try:
            await workflow.wait_condition(lambda: self._decision is not None, timeout=self._remaining())
        except TimeoutError:
            assert self._first is not None
            saga = self._plan.saga
            await self._step(saga.cancel(self._first.subject, saga.timed_out), self._first)
        assert self._decision is not None
        hold.cancel()  # a hold in flight is in doubt: it is undone with the others, whatever it will answer
        await self._follow(self._decision)
        await asyncio.gather(hold, return_exceptions=True)
        return type(self._decision).__name__

    def told(self, note: Note) -> None:
        """The decision was taken outside: by the customer, or by the sweeper."""
        event = message_of(self._plan.wire, note)
        if self._decision is None and self._plan.decides(event):
            self._decision = event
            self._traceparent = self._traceparent or note.traceparent

    async def _hold(self) -> None:
        if self._first is not None and self._decision is None:
            await self._follow(self._first)

    async def _follow(self, event: Event) -> None:
        """Do all that `event` leads to, at the same time, and whatever the answers lead to."""
        await asyncio.gather(*(self._step(command, event) for command in advance(self._plan.saga, event)))

    async def _step(self, command: Command, cause: Event) -> None:
        note = note_of(self._plan.wire, command, message_id(cause), self._traceparent)
        doer = self._plan.doers.get(type(command))
        answer = await (remote(note, self._start, doer) if doer else local(note, self._start))
        if answer is None:
            return
        event: Event = message_of(self._plan.wire, answer)
        if self._plan.decides(event):
            self._decision = self._decision or event
        else:
            await self._follow(event)

    def _remaining(self) -> float | None:
        if self._start.deadline is None:
            return None
        waited = (workflow.now() - workflow.info().start_time).total_seconds()
        return max(self._start.deadline - waited, 0.001)


@workflow.defn(name=WORKFLOW, sandboxed=False)
class SagaWorkflow:
    """A process runs one saga, its plan. No sandbox: it costs 6 ms of CPU, and stored histories guard the walk."""

    plan: ClassVar[Plan]

    @workflow.init
    def __init__(self, start: Start) -> None:
        self._walk = Walk(self.plan, start)

    @workflow.run
    async def run(self, start: Start) -> str:
        return await self._walk.run()

    @workflow.signal(name=DECIDED_SIGNAL)
    def decided(self, note: Note) -> None:
        self._walk.told(note)


class Owner:
    """The saga's owner starts workflows, and tells them of decisions that were taken without them."""

    local_only = True
    workflows: Sequence[type[Any]] = (SagaWorkflow,)

    def __init__(self, settings: Settings, service: Service, saga: Saga) -> None:
        self._settings, self._saga = settings, saga
        self._refusals = frozenset(step.refusal for step in saga.steps)
        SagaWorkflow.plan = plan_of(saga, service.wire)

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        """A start for a new order; a decision only if its workflow may not know it, having asked for it."""
        if isinstance(event, self._saga.started):
            return ((START, event),)
        cancelled = isinstance(event, self._saga.cancelled)
        if cancelled and (again or getattr(event, "reason", None) not in self._refusals):
            return ((DECIDED, event),)
        if again and isinstance(event, self._saga.confirmed):
            return ((DECIDED, event),)
        return ()

    def calls(self, channel: str, envelope: Envelope, note: Note, age: float) -> Sequence[Call]:
        """The workflow that a row on `channel` is to start or to tell; none on another mode's channel."""
        retries = (self._settings.retry_initial, self._settings.retry_max)
        subject, owner = envelope.message.subject, self._saga.owner
        if channel == START:
            start = Start(note, *retries, self._settings.saga_deadline - age)
            return (Call(subject, owner, WORKFLOW, start),)
        if channel == DECIDED:
            return (Call(subject, owner, WORKFLOW, Start(None, *retries), (DECIDED_SIGNAL, note)),)
        return ()

    def activities(self, participant: Participant) -> Sequence[Activity]:
        return entering(participant)


class Helper:
    """A participant does what activities ask for, and their results are its answers."""

    local_only = False
    workflows: Sequence[type[Any]] = ()

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        return ()

    def calls(self, channel: str, envelope: Envelope, note: Note, age: float) -> Sequence[Call]:
        return ()

    def activities(self, participant: Participant) -> Sequence[Activity]:
        return concluding(participant)

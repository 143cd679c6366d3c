"""Orchestration: one workflow per order, in the saga's owner, walks the saga with `advance`.

The owner's own commands are local activities of the workflow's worker; the others are activities on each
participant's queue. The workflow decides nothing: it learns from the owner's answers what has been decided.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final

from temporalio import workflow
from temporalio.common import RetryPolicy

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, Vocabulary, message_id
from sagakit.modes.temporal.activities import (
    HEARTBEAT_TIMEOUT,
    START_TO_CLOSE,
    Activity,
    concluding,
    entering,
)
from sagakit.modes.temporal.wire import QUEUE, Call, Note, Start, message_of, note_of
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
    """What the workflow knows besides its history: the saga, the words, and whose command is whose."""

    saga: Saga
    wire: Vocabulary
    queues: Mapping[Any, str]

    def decides(self, event: Event) -> bool:
        return type(event) in (self.saga.confirmed, self.saga.cancelled)


def plan_of(saga: Saga, wire: Vocabulary) -> Plan:
    queues = {
        command: QUEUE.format(step.participant)
        for step in saga.steps
        for command in (step.do, step.settle, step.undo)
    }
    return Plan(saga, wire, queues)


class Walk:
    """One run through the saga. Deterministic: reads nothing but its plan, its start and what it is told."""

    def __init__(self, plan: Plan, start: Start) -> None:
        self._plan, self._start = plan, start
        self._decision: Event | None = None
        self._retry = RetryPolicy(
            initial_interval=timedelta(seconds=start.retry_initial),
            backoff_coefficient=2,
            maximum_interval=timedelta(seconds=start.retry_max),
        )

    async def run(self) -> str:
        """Hold until the decision is known, then settle until all have answered; says which it was."""
        first: Event = message_of(self._plan.wire, self._start.note)
        if self._plan.decides(first):
            self._decision = first
        hold = asyncio.create_task(self._until_decided(first))
        try:
            await workflow.wait_condition(lambda: self._decision is not None, timeout=self._remaining())
        except TimeoutError:
            saga = self._plan.saga
            await self._step(saga.cancel(first.subject, saga.timed_out), first)
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

    async def _until_decided(self, first: Event) -> None:
        if self._decision is None:
            await self._follow(first)

    async def _follow(self, event: Event) -> None:
        """Do all that `event` leads to, at the same time, and whatever the answers lead to."""
        await asyncio.gather(*(self._step(command, event) for command in advance(self._plan.saga, event)))

    async def _step(self, command: Command, cause: Event) -> None:
        answer = await self._do(command, message_id(cause))
        if answer is None:
            return
        if self._plan.decides(answer):
            self._decision = self._decision or answer
        else:
            await self._follow(answer)

    async def _do(self, command: Command, cause: str) -> Event | None:
        name = type(command).__name__
        note = note_of(self._plan.wire, command, cause, self._start.note.traceparent)
        answer: Note | None
        if queue := self._plan.queues.get(type(command)):
            answer = await workflow.execute_activity(
                name,
                note,
                task_queue=queue,
                result_type=Note,
                start_to_close_timeout=timedelta(seconds=START_TO_CLOSE),
                heartbeat_timeout=timedelta(seconds=HEARTBEAT_TIMEOUT),
                retry_policy=self._retry,
            )
        else:
            answer = await workflow.execute_local_activity(
                name,
                note,
                result_type=Note,
                start_to_close_timeout=timedelta(seconds=START_TO_CLOSE),
                retry_policy=self._retry,
            )
        return None if answer is None else message_of(self._plan.wire, answer)

    def _remaining(self) -> float | None:
        if self._start.deadline is None:
            return None
        waited = (workflow.now() - workflow.info().start_time).total_seconds()
        return max(self._start.deadline - waited, 0.001)


@workflow.defn(name=WORKFLOW, sandboxed=False)
class SagaWorkflow:
    """A process runs one saga, its plan. No sandbox: it costs much, and stored histories guard the walk."""

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
        subject = envelope.message.subject
        if channel == START:
            return (Call(subject, WORKFLOW, Start(note, *retries, self._settings.saga_deadline - age)),)
        if channel == DECIDED:
            return (Call(subject, WORKFLOW, Start(note, *retries), signal=DECIDED_SIGNAL, again=True),)
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

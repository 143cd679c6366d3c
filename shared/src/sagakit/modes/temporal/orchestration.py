"""Orchestration: one workflow per order, in the saga's owner, walks the saga with `advance`.

The owner's own commands are local activities of the workflow's worker; the others are activities on each
participant's queue. The workflow decides nothing: it learns from the owner's answers what has been decided.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from temporalio import workflow
from temporalio.common import RawValue

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, UnknownMessage, Vocabulary, message_id
from sagakit.modes.temporal.activities import ask
from sagakit.modes.temporal.listening import IDLE, UNREADABLE, Listener
from sagakit.modes.temporal.wire import (
    LONGEST,
    MessagePayload,
    ParticipantRole,
    StartWorkflow,
    WorkflowInput,
    note_of,
    read,
)
from sagakit.saga import Saga, SagaRun
from sagakit.service import Service
from sagakit.settings import Settings

START: Final = "temporal.start"
DECIDED: Final = "temporal.decided"


@dataclass(frozen=True, slots=True)
class SagaPlan:
    """What the workflow knows besides its history: the saga and the words."""

    saga: Saga
    wire: Vocabulary

    def doer(self, kind: Any) -> str | None:
        """Who does commands of that kind; None for the owner itself."""
        return next((one.participant for one in self.saga.steps if kind in (one.do, one.settle, one.undo)), None)


@workflow.defn(dynamic=True, sandboxed=False)
class SagaWorkflow(Listener):
    """Its id is the order's. No sandbox: it costs 6 ms of CPU, and stored histories guard the walk."""

    KIND, SIGNAL = "Saga", "decided"
    plan: ClassVar[SagaPlan]  # a process runs one saga
    _traceparent: str | None = None

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> str:
        """Hold until the decision is known, then settle until all have answered; says which it was."""
        if self._fault:
            await self._bury(args, self._fault)
        unread = self._fault and (self._subject is None or self._walk.decision is None)
        verdict = UNREADABLE if unread else await self._through()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return verdict

    async def _through(self) -> str:
        self._traceparent = self._start.note.traceparent if self._start.note else self._traceparent
        first, walk, saga = self._first, self._walk, self.plan.saga
        undecided = [first] if first is not None and walk.decision is None else []
        hold = asyncio.gather(*map(walk.follow, undecided))
        try:
            await workflow.wait_condition(lambda: walk.decision is not None, timeout=self._remaining())
        except TimeoutError:
            if first is None:
                return "idle"
            await walk.step(saga.cancel(first.subject, saga.timed_out), first)
        assert walk.decision is not None
        hold.cancel()  # a hold in flight is in doubt: it is undone with the others, whatever it will answer
        await walk.follow(walk.decision)
        await asyncio.gather(hold, return_exceptions=True)
        return type(walk.decision).__name__

    def _opened(self, workflow_id: str) -> tuple[Vocabulary, str]:
        self._walk = SagaRun(self.plan.saga, self._do)
        return self.plan.wire, workflow_id

    async def _hear(self, event: Event, note: MessagePayload) -> None:
        """The decision was taken outside: by the customer, or by the sweeper."""
        if self._walk.learn(event):
            self._traceparent = self._traceparent or note.traceparent

    async def _do(self, command: Command, cause: Event) -> Event | None:
        note = note_of(self.plan.wire, command, message_id(cause), self._traceparent)
        answer = await ask(note.type, note, self._start, self.plan.doer(type(command)))
        try:
            return self._message(read([answer], MessagePayload)) if answer.payload.data else None
        except UnknownMessage as error:
            await self._bury([answer], f"answer to {note.type}: {error}")
            return None

    def _remaining(self) -> float | None:
        if self._first is None:
            return None if self._walk.decision else IDLE
        if self._start.deadline is None:
            return None
        waited = (workflow.now() - workflow.info().start_time).total_seconds()
        return min(max(self._start.deadline - waited, 0.001), LONGEST)


class OrchestratorRole(ParticipantRole):
    """The saga's owner starts workflows, and tells them of decisions that were taken without them."""

    workflows = (SagaWorkflow,)

    def __init__(self, settings: Settings, service: Service, saga: Saga) -> None:
        self._settings, self._saga = settings, saga
        self._refusals = frozenset(step.refusal for step in saga.steps)
        SagaWorkflow.plan = SagaPlan(saga, service.wire)

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        """A start for a new order; a decision only if its workflow may not know it, having asked for it."""
        if isinstance(event, self._saga.started):
            return ((START, event),)
        told = isinstance(event, self._saga.confirmed) or getattr(event, "reason", None) in self._refusals
        decided = isinstance(event, (self._saga.confirmed, self._saga.cancelled))
        return ((DECIDED, event),) if decided and (again or not told) else ()

    def calls(self, channel: str, envelope: Envelope, note: MessagePayload, age: float) -> Sequence[StartWorkflow]:
        """The workflow that a row on `channel` is to start or to tell; none on another mode's channel."""
        retries = (self._settings.retry_initial, self._settings.retry_max)
        walk = (envelope.message.subject, self._saga.owner, SagaWorkflow.KIND)
        if channel == START:
            # an age beyond the deadline is a clock that stepped, or the sweeper has long seen to it
            deadline = self._settings.saga_deadline
            start = WorkflowInput(note, *retries, deadline - age if 0 <= age < deadline else deadline)
            return (StartWorkflow(*walk, start),)
        if channel == DECIDED:
            return (StartWorkflow(*walk, WorkflowInput(None, *retries), (SagaWorkflow.SIGNAL, note)),)
        return ()

"""Orchestration: one workflow per order, in the saga's owner, runs the saga with `advance`.

The owner's own commands are local activities in the workflow's worker; the others are activities on the participants'
task queues. The workflow decides nothing: it learns from the owner's answers what has been decided.
"""

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Final

from temporalio import workflow
from temporalio.common import RawValue

from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, UnknownMessage, Vocabulary, message_id
from sagakit.modes.temporal.activities import run_activity
from sagakit.modes.temporal.dynamic import IDLE, UNREADABLE, DynamicWorkflow
from sagakit.modes.temporal.wire import MessagePayload, ParticipantRole, StartWorkflow, WorkflowInput, payload_of, read
from sagakit.saga import Saga, SagaRun
from sagakit.service import Service
from sagakit.settings import Settings

START: Final = "temporal.start"
DECIDED: Final = "temporal.decided"


@workflow.defn(dynamic=True, sandboxed=False)
class SagaWorkflow(DynamicWorkflow):
    """The saga of the order whose id it has. No sandbox: that costs 6 ms of CPU, and stored histories guard replays."""

    TYPE, SIGNAL = "Saga", "decided"
    saga: ClassVar[Saga]  # a process runs one saga
    wire: ClassVar[Vocabulary]
    _traceparent: str | None = None

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> str:
        """Hold until the decision is known, then settle until all have answered; returns the decision's name."""
        if self._input_error:
            await self._dead_letter(args, self._input_error)
        unreadable = self._input_error and (self._subject is None or self._saga_run.decision is None)
        result = UNREADABLE if unreadable else await self._run_saga()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    async def _run_saga(self) -> str:
        self._traceparent = self._input.payload.traceparent if self._input.payload else self._traceparent
        event, saga_run = self._event, self._saga_run
        undecided = [event] if event is not None and saga_run.decision is None else []
        holding = asyncio.gather(*map(saga_run.follow, undecided))
        try:
            await workflow.wait_condition(lambda: saga_run.decision is not None, timeout=self._remaining())
        except TimeoutError:
            if event is None:
                return "idle"
            await saga_run.step(self.saga.cancel(event.subject, self.saga.timed_out), event)
        assert saga_run.decision is not None
        holding.cancel()  # a hold in flight is in doubt: it is undone with the others, whatever it will answer
        await saga_run.follow(saga_run.decision)
        await asyncio.gather(holding, return_exceptions=True)
        return type(saga_run.decision).__name__

    def _identify(self, workflow_id: str) -> tuple[Vocabulary, str]:
        self._saga_run = SagaRun(self.saga, self._do)
        return self.wire, workflow_id

    async def _on_event(self, event: Event, payload: MessagePayload) -> None:
        """The decision was taken outside the workflow: by the customer, or by the sweeper."""
        if self._saga_run.learn(event):
            self._traceparent = self._traceparent or payload.traceparent

    async def _do(self, command: Command, cause: Event) -> Event | None:
        payload = payload_of(self.wire, command, message_id(cause), self._traceparent)
        answer = await run_activity(payload.type, payload, self._input, self.saga.participant_of(type(command)))
        try:
            return self._message(read([answer], MessagePayload)) if answer.payload.data else None
        except UnknownMessage as error:
            await self._dead_letter([answer], f"answer to {payload.type}: {error}")
            return None

    def _remaining(self) -> float | None:
        """Seconds to wait for the decision; None for as long as it takes."""
        if self._event is None:
            return None if self._saga_run.decision else IDLE
        return self._input.remaining((workflow.now() - workflow.info().start_time).total_seconds())


class OrchestratorRole(ParticipantRole):
    """The saga's owner: it starts workflows, and signals them decisions that were taken without them."""

    workflows = (SagaWorkflow,)

    def __init__(self, settings: Settings, service: Service, saga: Saga) -> None:
        self._settings, self._saga = settings, saga
        self._refusals = frozenset(step.refusal for step in saga.steps)
        SagaWorkflow.saga, SagaWorkflow.wire = saga, service.wire

    def outgoing(self, event: Event, again: bool) -> Sequence[tuple[str, Message]]:
        """A start for a new order; a decision only if its workflow may not know it, having asked for it."""
        if isinstance(event, self._saga.started):
            return ((START, event),)
        known = isinstance(event, self._saga.confirmed) or getattr(event, "reason", None) in self._refusals
        decided = isinstance(event, (self._saga.confirmed, self._saga.cancelled))
        return ((DECIDED, event),) if decided and (again or not known) else ()

    def starts(self, channel: str, envelope: Envelope, payload: MessagePayload, age: float) -> Sequence[StartWorkflow]:
        """The order's workflow: to be started with a new order, or to be signalled a decision."""
        retries = (self._settings.retry_initial, self._settings.retry_max)
        target = (envelope.message.subject, self._saga.owner, SagaWorkflow.TYPE)
        if channel == START:
            # an age beyond the deadline comes of a clock that stepped, or the sweeper has cancelled long since
            deadline = self._settings.saga_deadline
            remaining = deadline - age if 0 <= age < deadline else deadline
            return (StartWorkflow(*target, WorkflowInput(payload, *retries, remaining)),)
        if channel == DECIDED:
            return (StartWorkflow(*target, WorkflowInput(None, *retries), (SagaWorkflow.SIGNAL, payload)),)
        return ()

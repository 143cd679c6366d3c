"""Temporal's activities: every one is a command by its name, and enters the door; and how to ask for one.

A repeat answers again, so running one twice is harmless. Business refusals are answers; an error means "run it again",
and Temporal does so for ever, with backoff. One that is the command's fault is counted, and becomes a dead letter too.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from sagakit.faults import failpoints
from sagakit.message import Command, Event
from sagakit.modes.failures import BUSY, Failures, event_of
from sagakit.modes.temporal.wire import QUEUE, Letter, MessagePayload, WorkflowInput, body_of, note_of, read
from sagakit.ports import Inlet
from sagakit.tasks import with_heartbeat
from sagakit.wording import stated

HEARTBEAT: Final = 1.0
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=4)
ANSWER_WAIT: Final = 50.0
START_TO_CLOSE: Final = timedelta(seconds=60)
DEAD_LETTER: Final = "DeadLetter"


async def ask(name: str, what: MessagePayload | Letter, start: WorkflowInput, service: str | None = None) -> RawValue:
    """In a workflow: have it done, however long it takes, by a worker of `service`, or (None) by the workflow's own."""
    retry = RetryPolicy(
        initial_interval=timedelta(seconds=start.retry_initial),
        maximum_interval=timedelta(seconds=max(start.retry_initial, start.retry_max)),
    )
    how: Any = {"result_type": RawValue, "start_to_close_timeout": START_TO_CLOSE, "retry_policy": retry}
    if service is not None:
        how |= {"task_queue": QUEUE.format(service), "heartbeat_timeout": HEARTBEAT_TIMEOUT}
    do = workflow.execute_local_activity if service is None else workflow.execute_activity
    answer: RawValue = await do(name, what, **how)
    return answer


def activities(inlet: Inlet, attempts: int, local: bool) -> Sequence[Callable[..., Any]]:
    """`local`: they return what the door says at once, nothing for a private event. Others wait for the answer."""
    service, failures = inlet.service, Failures(inlet, attempts)

    async def enter(command: Command, note: MessagePayload) -> Event | None:
        if local:
            event = await inlet.do(command, note.cause, note.traceparent)
            return None if isinstance(event, service.private) else event
        concluding = inlet.conclude(command, note.cause, ANSWER_WAIT, note.traceparent)
        answer = await with_heartbeat(concluding, HEARTBEAT, activity.heartbeat)  # so that a killed worker is noticed
        if answer is None:
            raise TimeoutError(f"no answer to {note.type} within {ANSWER_WAIT:g} s")
        return answer

    @activity.defn(dynamic=True)
    async def handle(args: Sequence[RawValue]) -> MessagePayload | None:
        async with failures.counted(lambda: body_of(args), None):
            note = read(args, MessagePayload)
            command: Command = service.wire.decode(note.type, note.data)
        try:
            async with failures.counted(lambda: event_of(service, command, note.cause), command.subject):
                answer = await enter(command, note)
        except BUSY as busy:  # nothing is wrong with us: retried, but not logged as an error each time
            kind, benign = type(busy).__name__, ApplicationErrorCategory.BENIGN
            raise ApplicationError(stated(busy), type=kind, category=benign) from None
        await failpoints.pass_by("before-ack")
        return None if answer is None else note_of(service.wire, answer, None, note.traceparent)

    @activity.defn(name=DEAD_LETTER)
    async def dead_letter(letter: Letter) -> None:
        await inlet.dead_letter(*letter)

    return handle, dead_letter

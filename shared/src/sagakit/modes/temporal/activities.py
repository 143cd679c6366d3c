"""Temporal's activities: each executes the command that it is named after; and how a workflow runs one.

An activity may run twice, since a repeated command answers again. After an error Temporal runs it again, for ever.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, cast

from temporalio import activity, workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from sagakit.faults import failpoints
from sagakit.message import Command, Event
from sagakit.modes.failures import BUSY, Failures, event_of
from sagakit.modes.temporal.wire import QUEUE, DeadLetterInput, MessagePayload, WorkflowInput, body_of, payload_of, read
from sagakit.ports import Inlet
from sagakit.tasks import with_heartbeat
from sagakit.telemetry import innermost
from sagakit.wording import stated

HEARTBEAT: Final = 1.0  # seconds
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=4)
ANSWER_WAIT: Final = 50.0  # seconds
START_TO_CLOSE: Final = timedelta(seconds=60)
DEAD_LETTER: Final = "DeadLetter"


async def run_activity(
    name: str, argument: MessagePayload | DeadLetterInput, settings: WorkflowInput, service: str | None = None
) -> RawValue:
    """In a workflow: run an activity until it succeeds, in a worker of `service` or (None) in the workflow's own."""
    retry = RetryPolicy(
        initial_interval=timedelta(seconds=settings.retry_initial),
        maximum_interval=timedelta(seconds=max(settings.retry_initial, settings.retry_max)),
    )
    options: Any = {"result_type": RawValue, "start_to_close_timeout": START_TO_CLOSE, "retry_policy": retry}
    if service is not None:
        options |= {"task_queue": QUEUE.format(service), "heartbeat_timeout": HEARTBEAT_TIMEOUT}
    execute = workflow.execute_local_activity if service is None else workflow.execute_activity
    return cast("RawValue", await execute(name, argument, **options))


def activities(inlet: Inlet, attempts: int, local: bool) -> Sequence[Callable[..., Any]]:
    """A service's activities; `local` ones return at once what is recorded (None if private), others its answer."""
    service, failures = inlet.service, Failures(inlet, attempts)

    async def execute(command: Command, payload: MessagePayload) -> Event | None:
        if local:
            event = await inlet.do(command, payload.cause, innermost(payload.traceparent))
            return None if isinstance(event, service.private) else event
        concluding = inlet.conclude(command, payload.cause, ANSWER_WAIT, innermost(payload.traceparent))
        answer = await with_heartbeat(concluding, HEARTBEAT, activity.heartbeat)  # so that a killed worker is noticed
        if answer is None:
            raise TimeoutError(f"no answer to {payload.type} within {ANSWER_WAIT:g} s")
        return answer

    @activity.defn(dynamic=True)
    async def handle(args: Sequence[RawValue]) -> MessagePayload | None:
        async with failures.counted(lambda: body_of(args), None):
            payload = read(args, MessagePayload)
            command: Command = service.wire.decode(payload.type, payload.data)
        try:
            async with failures.counted(lambda: event_of(service, command, payload.cause), command.subject):
                answer = await execute(command, payload)
        except BUSY as busy:  # not a fault: retried, but not logged as an error each time
            kind, benign = type(busy).__name__, ApplicationErrorCategory.BENIGN
            raise ApplicationError(stated(busy), type=kind, category=benign) from None
        await failpoints.pass_by("before-ack")
        return None if answer is None else payload_of(service.wire, answer, None, payload.traceparent)

    @activity.defn(name=DEAD_LETTER)
    async def dead_letter(letter: DeadLetterInput) -> None:
        await inlet.dead_letter(*letter)

    return handle, dead_letter

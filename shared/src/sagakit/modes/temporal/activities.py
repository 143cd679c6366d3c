"""Temporal's activities: one per command, under the command's name, each of them the door; and how to ask for one.

A repeat answers again, so running one twice is harmless. Business refusals are answers; an error means
"run it again", and Temporal does so for ever, with backoff.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from sagakit.faults import failpoints
from sagakit.message import Command, Event
from sagakit.modes.temporal.wire import QUEUE, Note, Start, message_of, note_of
from sagakit.participant import Participant
from sagakit.ports import StoreUnavailable

HEARTBEAT: Final = 1.0
HEARTBEAT_TIMEOUT: Final = 4.0
ANSWER_WAIT: Final = 50.0
START_TO_CLOSE: Final = 60.0

Activity = Callable[[Note], Coroutine[Any, Any, Note | None]]


def concluding(participant: Participant) -> Sequence[Activity]:
    """Activities that wait for the public answer, and heartbeat meanwhile: a killed worker is noticed."""

    async def conclude(command: Command, note: Note) -> Event | None:
        answer = await _heartbeating(participant.conclude(command, note.cause, ANSWER_WAIT, note.traceparent))
        if answer is None:
            raise _again(f"no answer to {note.type} within {ANSWER_WAIT:g} s", "NoAnswerYet")
        return answer

    return _activities(participant, conclude)


def entering(participant: Participant) -> Sequence[Activity]:
    """Activities that return what the door says at once; nothing for a private event."""

    async def enter(command: Command, note: Note) -> Event | None:
        event = await participant.dispatcher.do(command, note.cause, note.traceparent)
        return None if isinstance(event, participant.service.private) else event

    return _activities(participant, enter)


async def remote(note: Note, start: Start, service: str) -> Note | None:
    """In a workflow: have the command done by a worker of `service`, however long it takes."""
    answer: Note | None = await workflow.execute_activity(
        note.type,
        note,
        task_queue=QUEUE.format(service),
        result_type=Note,
        start_to_close_timeout=timedelta(seconds=START_TO_CLOSE),
        heartbeat_timeout=timedelta(seconds=HEARTBEAT_TIMEOUT),
        retry_policy=_retry(start),
    )
    return answer


async def local(note: Note, start: Start) -> Note | None:
    """In a workflow: have the command done by the workflow's own worker, however long it takes."""
    answer: Note | None = await workflow.execute_local_activity(
        note.type,
        note,
        result_type=Note,
        start_to_close_timeout=timedelta(seconds=START_TO_CLOSE),
        retry_policy=_retry(start),
    )
    return answer


def _retry(start: Start) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=start.retry_initial),
        backoff_coefficient=2,
        maximum_interval=timedelta(seconds=start.retry_max),
    )


def _activities(
    participant: Participant, ask: Callable[[Command, Note], Coroutine[Any, Any, Event | None]]
) -> Sequence[Activity]:
    wire = participant.service.wire

    def made(kind: type[Command]) -> Activity:
        @activity.defn(name=kind.__name__)
        async def handle(note: Note) -> Note | None:
            try:
                answer = await ask(message_of(wire, note), note)
            except StoreUnavailable as unavailable:
                raise _again(str(unavailable), "StoreUnavailable") from None
            await failpoints.pass_by("before-ack")
            return None if answer is None else note_of(wire, answer, None, note.traceparent)

        return handle

    return [made(kind) for kind in participant.service.commands if kind.__name__ in wire.types]


async def _heartbeating(answer: Coroutine[Any, Any, Event | None]) -> Event | None:
    task = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait({task}, timeout=HEARTBEAT))[0]:
            activity.heartbeat()
        return task.result()
    finally:
        task.cancel()


def _again(message: str, kind: str) -> ApplicationError:
    """Nothing is wrong with us: retried, but not logged as an error each time."""
    return ApplicationError(message, type=kind, category=ApplicationErrorCategory.BENIGN)

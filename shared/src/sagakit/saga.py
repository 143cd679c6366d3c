"""The shape of a saga: ordered steps of do, settle and undo around one pivot; and `advance`, what comes next.

`advance` is pure and keeps no state: what has been decided stands in the row of the saga's owner, and the event itself
says which step it ends. So a repeated event gives the same commands again, and a late one cannot turn anything back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class Step:
    """One participant's part: its commands, the events that answer them, and what the pivot makes of those.

    `do` takes the snapshot that the saga carries; `ok` carries it on.
    """

    participant: str
    do: Callable[[str, Any], Command]
    ok: type[Event]
    refused: type[Event]
    refusal: str
    settle: Callable[[str], Command]
    settled: type[Event]
    undo: Callable[[str], Command]
    undone: type[Event]
    record: Callable[[str], Command]


@dataclass(frozen=True, slots=True)
class Saga:
    """`started` opens it, `confirm`/`cancel` ask the pivot, `confirmed`/`cancelled` are its two answers.

    `snapshot` reads from a hold's event what the next hold needs to know.
    """

    owner: str
    started: type[Event]
    confirm: Callable[[str], Command]
    cancel: Callable[[str, str], Command]
    confirmed: type[Event]
    cancelled: type[Event]
    timed_out: str
    snapshot: Callable[[Any], Any]
    steps: tuple[Step, ...]

    def participant_of(self, command: Callable[..., Command]) -> str | None:
        """Who executes commands of that type; None for the saga's owner itself."""
        return next((s.participant for s in self.steps if command in (s.do, s.settle, s.undo)), None)


def advance(saga: Saga, event: Event) -> tuple[Command, ...]:
    """The commands that `event` leads to, for whichever service; none if it leads nowhere."""
    kind, subject = type(event), event.subject
    if kind is saga.started:
        return (saga.steps[0].do(subject, saga.snapshot(event)),)
    if kind is saga.confirmed:
        return tuple(step.settle(subject) for step in saga.steps)
    if kind is saga.cancelled:
        return tuple(step.undo(subject) for step in saga.steps)
    for position, step in enumerate(saga.steps):
        if kind is step.ok:
            following = saga.steps[position + 1 :]
            if not following:
                return (saga.confirm(subject),)
            return (following[0].do(subject, saga.snapshot(event)),)
        if kind is step.refused:
            return (saga.cancel(subject, step.refusal),)
        if kind in (step.settled, step.undone):
            return (step.record(subject),)
    return ()


class SagaRun:
    """One run through the saga, for whoever can wait for each command's answer. Deterministic, and decides nothing.

    `do(command, cause)` has a command done: its answer, None if there is none to act upon.
    """

    def __init__(self, saga: Saga, do: Callable[[Command, Event], Awaitable[Event | None]]) -> None:
        self._saga, self._do = saga, do
        self.decision: Event | None = None

    def learn(self, event: Event) -> bool:
        """Whether `event` is one of the pivot's answers; the first one counts."""
        decides = type(event) in (self._saga.confirmed, self._saga.cancelled)
        if decides and self.decision is None:
            self.decision = event
        return decides

    async def follow(self, event: Event) -> None:
        """Do all that `event` leads to, at the same time, and whatever the answers lead to."""
        await asyncio.gather(*(self.step(command, event) for command in advance(self._saga, event)))

    async def step(self, command: Command, cause: Event) -> None:
        answer = await self._do(command, cause)
        if answer is not None and not self.learn(answer):
            await self.follow(answer)

"""The shape of a saga: ordered steps of do, settle and undo around one pivot; and `advance`, what comes next.

`advance` is pure and keeps no state: the decision is in the row of the saga's owner, and the event itself says which
step it ends. So a repeated event gives the same commands again, and a late one cannot reverse anything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sagakit.message import Command, Event

Phase = Literal["start", "hold", "decide", "settle", "compensate"]
"""A part of a saga: it is placed, makes its holds, is decided, and is then settled or undone."""


@dataclass(frozen=True, slots=True)
class Step:
    """One participant's part. Its `do` holds something (stock, money, a parcel) until the pivot has decided.

    Attributes:
        participant: The service that executes `do`, `settle` and `undo`.
        do: The command that makes the hold, from the subject and the snapshot.
        ok: The event that says that the hold is made; it carries the snapshot on.
        refused: The event that says that there is no hold.
        refusal: The reason with which the saga is then cancelled.
        settle: The command that makes the hold final, once the saga is confirmed.
        settled: The event that answers `settle`.
        undo: The command that gives the hold back, once the saga is cancelled; harmless if there is none.
        undone: The event that answers `undo`.
        record: The owner's command that records `settled` or `undone`.
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
    """Steps that are done one after another, and a pivot that then confirms or cancels all of them.

    Attributes:
        owner: The service whose row is the pivot; it executes `confirm`, `cancel` and each step's `record`.
        started: The event that begins the saga.
        confirm: The command to decide that the saga succeeds, given when every step has made its hold.
        cancel: The command to decide that it fails, with a reason.
        confirmed: The pivot's positive answer; every step is then settled.
        cancelled: The pivot's negative answer; every step is then undone.
        timed_out: The reason with which a saga is cancelled that is not decided by its deadline.
        snapshot: What the next hold needs to know, from `started` or a step's `ok`.
        steps: In their order.
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


def phases_of(saga: Saga) -> Mapping[str, Phase]:
    """The phase to which each message of the saga belongs, by its name.

    What an owner records, and what a participant does within, belong to the phase of what led to them.
    """
    phases: dict[Any, Phase] = {saga.started: "start"}
    phases |= dict.fromkeys((saga.confirm, saga.cancel, saga.confirmed, saga.cancelled), "decide")
    for step in saga.steps:
        phases |= dict.fromkeys((step.do, step.ok, step.refused), "hold")
        phases |= dict.fromkeys((step.settle, step.settled), "settle")
        phases |= dict.fromkeys((step.undo, step.undone), "compensate")
    return {message.__name__: phase for message, phase in phases.items()}


class SagaRun:
    """One run through the saga, for a coordinator that waits for each command's answer. Deterministic, without state.

    Attributes:
        decision: The pivot's answer, once there is one.
    """

    def __init__(self, saga: Saga, do: Callable[[Command, Event], Awaitable[Event | None]]) -> None:
        """`do(command, cause)` has a command executed: its answer, None if there is nothing to act upon."""
        self._saga, self._do = saga, do
        self.decision: Event | None = None

    def learn(self, event: Event) -> bool:
        """Whether `event` is an answer of the pivot; the first one becomes the `decision`."""
        decides = type(event) in (self._saga.confirmed, self._saga.cancelled)
        if decides and self.decision is None:
            self.decision = event
        return decides

    async def follow(self, event: Event) -> None:
        """Execute all commands that `event` leads to, concurrently, and follow their answers."""
        await asyncio.gather(*(self.step(command, event) for command in advance(self._saga, event)))

    async def step(self, command: Command, cause: Event) -> None:
        """Execute one command, and follow its answer."""
        answer = await self._do(command, cause)
        if answer is not None and not self.learn(answer):
            await self.follow(answer)

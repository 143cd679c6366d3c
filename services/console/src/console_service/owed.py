"""What one order still owes: the steps to come on the way that the saga takes now, and who decides next. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from checkout.saga import CHECKOUT
from console_service.protocol import (
    AT_PROVIDER,
    END,
    ENDS,
    HOLD,
    PIVOT,
    RECORD,
    SETTLE,
    STEPS,
    UNDO,
    ModeView,
    name_of,
)

RUNNING: Final = "running"
NEXT: Final = "next"
LATER: Final = "later"


@dataclass(frozen=True, slots=True)
class Owed:
    """A step that has not happened: `message` is a command that nobody has claimed, or an event nobody has recorded.

    Attributes:
        message: What is still to come.
        lane: Who executes it.
        role: The part that it plays.
        after: The message that has to come before.
        sender: The lane that the message comes from.
        state: RUNNING if its command is claimed, NEXT if `after` has happened, else LATER.
        decided_by: Who makes it happen, in words.
    """

    message: str
    lane: str
    role: str
    after: str
    sender: str
    state: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the saga waits for at the moment, in words, and since when."""

    whom: str
    what: str
    since: datetime


class _Ahead:
    """Collects owed steps; `seen` are the messages that happened, each with its kind."""

    def __init__(self, seen: Mapping[str, str], mode: ModeView) -> None:
        self._seen, self._mode = seen, mode

    def step(
        self, command: str, answers: tuple[str, ...], lane: str, role: str, after: str, sender: str
    ) -> Iterator[Owed]:
        """The command if nobody has claimed it, else the first of `answers` if none is recorded."""
        if any(answer in self._seen for answer in answers):
            return
        if command in self._seen:
            called = any(event in self._seen for event in AT_PROVIDER.get(command, ()))
            whom = f"the provider of {lane}" if called else lane
            yield Owed(answers[0], lane, role, command, lane, RUNNING, whom)
            return
        state = NEXT if after in self._seen else LATER
        yield Owed(command, lane, role, after, self._sender(lane, sender), state, self._decider(lane, after, command))

    def _sender(self, lane: str, sender: str) -> str:
        return sender if self._mode.choreography or lane == "order" else "order"

    def _decider(self, lane: str, after: str, command: str) -> str:
        if self._mode.choreography:
            return f"{lane}, which reacts to {after}"
        if lane == "order":
            return f"the orchestrator in order, at {after}"
        return f"the orchestrator in order, which sends {command}"


CONFIRMED: Final = CHECKOUT.confirmed.__name__
CANCELLED: Final = CHECKOUT.cancelled.__name__
STARTED: Final = CHECKOUT.started.__name__


def owed_steps(seen: Mapping[str, str], mode: ModeView) -> tuple[Owed, ...]:
    """What is still to come; `seen` maps each message that happened to its kind, `command` or `event`."""
    if STARTED not in seen and CANCELLED not in seen:
        return ()
    ahead = _Ahead(seen, mode)
    if CANCELLED in seen:
        return tuple(_ending(ahead, seen, CANCELLED))
    if CONFIRMED in seen:
        return tuple(_ending(ahead, seen, CONFIRMED))
    return tuple(_deciding(ahead, seen))


def _deciding(ahead: _Ahead, seen: Mapping[str, str]) -> Iterator[Owed]:
    """The holds and the decision, then what follows from it."""
    answers = (CONFIRMED, CANCELLED)
    refused = next((step for step in STEPS if step.refused.__name__ in seen), None)
    if refused is not None:
        yield from ahead.step("CancelOrder", answers, "order", PIVOT, refused.refused.__name__, refused.participant)
        yield from _ending(ahead, seen, CANCELLED)
        return
    after, sender = STARTED, "order"
    for step in STEPS:
        yield from ahead.step(name_of(step.do), (step.ok.__name__,), step.participant, HOLD, after, sender)
        after, sender = step.ok.__name__, step.participant
    yield from ahead.step("ConfirmOrder", answers, "order", PIVOT, after, sender)
    yield from _ending(ahead, seen, CONFIRMED)


def _ending(ahead: _Ahead, seen: Mapping[str, str], decision: str) -> Iterator[Owed]:
    """What all participants do about the decision, in parallel; each answer is then noted by the order.

    The order's journal may tell of the end before a participant's timeline, asked a moment earlier, has its part in it.
    """
    confirmed = decision == CONFIRMED
    role = SETTLE if confirmed else UNDO
    for step in STEPS:
        command, answer = (step.settle, step.settled) if confirmed else (step.undo, step.undone)
        yield from ahead.step(name_of(command), (answer.__name__,), step.participant, role, decision, "order")
    if ENDS[decision] in seen:
        return
    last = ""
    for step in STEPS:
        record = name_of(step.record)
        answer = step.settled if confirmed else step.undone
        if record not in seen:
            last = answer.__name__
            yield from ahead.step(record, (f"{record} done",), "order", RECORD, last, step.participant)
    yield Owed(ENDS[decision], "order", END, last or decision, "order", LATER, "order, at the third answer")


def waiting_for(owed: tuple[Owed, ...], times: Mapping[str, datetime]) -> Waiting | None:
    """Whom the saga waits for: of the owed steps that could happen now, the one that could for the longest time."""
    possible = [one for one in owed if one.state in (RUNNING, NEXT) and one.after in times]
    if not possible:
        return None
    one = min(possible, key=lambda owed: times[owed.after])
    if one.state == RUNNING:
        return Waiting(one.decided_by, f"to finish {one.after}", times[one.after])
    return Waiting(one.lane, f"to take {one.message}, after {one.after}", times[one.after])

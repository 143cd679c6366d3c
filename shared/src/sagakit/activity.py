"""What a service does, as it happens: a bounded memory of what no journal keeps, and a stream for operators.

The journal and the inbox say what was done. They do not say how often a message came again, which calls to a provider
failed, or when an order was nudged. That is kept here, in the memory of the process, for the timeline of an order.

Guarantee: a batch of new commands costs one comparison while no follower has room. The memory holds KEPT observations,
and a follower gets ROOM every PACE seconds at most; of the rest it learns how many it missed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from sagakit.message import Command, Event, message_id
from sagakit.provider import OutcomeUnknown, ProviderCall
from sagakit.telemetry import Metrics
from sagakit.wording import stated
from sagakit.work import Continue, Execute, Item, Nudge

KEPT: Final = 10_000
ROOM: Final = 50
PACE: Final = 0.25  # seconds

Kind = Literal["command", "continued", "duplicate", "nudge", "call", "failed", "unpublished", "dead-letter", "skipped"]
"""What was observed. The stream alone has `command` and `continued`, which the inbox keeps, and `skipped`."""


class Observation(msgspec.Struct, frozen=True):
    """Something that happened in this process.

    Attributes:
        at: When, in seconds since the epoch, by the clock of the process.
        kind: What happened.
        subject: What it is about, such as an order; None if that is not known.
        message: The name of the command or message, or the operation of a call.
        cause: The id of the message that led to it.
        outcome: The event that answered, or the outcome of a call: `unknown` and `rejected` are no answers.
        detail: The words for an error.
        attempt: Of a call or a publication: which attempt it was, from 1.
        seconds: Of a call: how long it took.
        lost: Whether a command competed for the decision of the saga, and another one had won.
        traceparent: The trace to which it belongs.
        count: Of `skipped`: how many observations a follower missed.
    """

    at: float
    kind: Kind
    subject: str | None
    message: str = ""
    cause: str | None = None
    outcome: str | None = None
    detail: str | None = None
    attempt: int | None = None
    seconds: float | None = None
    lost: bool = False
    traceparent: str | None = None
    count: int | None = None


@dataclass(slots=True, eq=False)
class _Follower:
    waiting: list[Observation] = field(default_factory=list)
    missed: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def full(self) -> bool:
        return len(self.waiting) >= ROOM

    def add(self, observation: Observation) -> None:
        if self.full:
            self.missed += 1
        else:
            self.waiting.append(observation)
            self.news.set()


class Activity:
    """Records; `of` tells what is remembered about a subject, `follow` what happens from now on.

    `phases` says which commands compete for the decision of the saga (see `sagakit.saga.phases_of`).
    """

    def __init__(
        self,
        phases: Mapping[str, str] | None = None,
        metrics: Metrics | None = None,
        *,
        clock: Callable[[], float] = time.time,
        kept: int = KEPT,
    ) -> None:
        self._deciding = frozenset(name for name, phase in (phases or {}).items() if phase == "decide")
        self._metrics, self._clock, self._most = metrics, clock, kept
        self._kept: deque[Observation] = deque()
        self._of: dict[str, deque[Observation]] = {}
        self._followers: dict[_Follower, None] = {}
        self.since = clock()  # what happened before is not remembered here

    @property
    def followed(self) -> bool:
        """Whether anybody follows."""
        return bool(self._followers)

    @property
    def behind(self) -> bool:
        """Whether a follower has not been told everything yet."""
        return any(follower.waiting or follower.missed for follower in self._followers)

    def of(self, subject: str) -> Sequence[Observation]:
        """What is remembered about the subject, oldest first."""
        return tuple(self._of.get(subject, ()))

    async def follow(self) -> AsyncGenerator[Sequence[Observation], None]:
        """Yield what happens from now on, in groups of ROOM at most, each with what was missed, until closed."""
        follower = _Follower()
        self._followers[follower] = None
        try:
            while True:
                await follower.news.wait()
                follower.news.clear()
                group, follower.waiting = follower.waiting, []
                missed, follower.missed = follower.missed, 0
                if missed:
                    group.append(Observation(self._clock(), "skipped", None, count=missed))
                yield group
                await asyncio.sleep(PACE)
        finally:
            del self._followers[follower]

    def handled(self, items: Sequence[Item], answers: Sequence[Event | None], fresh: Collection[str]) -> None:
        """A batch was committed: `answers` to `items`, of whose commands `fresh` were claimed for the first time."""
        if len(fresh) == len(items) and all(follower.full for follower in self._followers):
            for follower in self._followers:
                follower.missed += len(items)
            return  # each item is a new command, which the inbox keeps
        unclaimed, now = set(fresh), self._clock()
        for item, answer in zip(items, answers, strict=True):
            kind = _kind(item, unclaimed)
            if kind in ("duplicate", "nudge"):
                self._keep(self._seen(kind, item, answer, now))
            elif self._followers:
                self._tell(self._seen(kind, item, answer, now))

    def called(self, call: ProviderCall, attempt: int, outcome: str | Exception, seconds: float) -> None:
        """An attempt at a call to a provider has ended, with an outcome or an error."""
        detail = None
        if isinstance(outcome, Exception):
            detail = stated(outcome)
            outcome = "unknown" if isinstance(outcome, OutcomeUnknown) else "rejected"
        self._keep(
            Observation(
                self._clock(),
                "call",
                call.subject,
                call.operation,
                outcome=outcome,
                detail=detail,
                attempt=attempt,
                seconds=round(seconds, 6),
                traceparent=call.traceparent,
            )
        )

    def failed(self, items: Sequence[Item], error: Exception) -> None:
        """These items could not be handled now; whoever sent them sends them again."""
        now, detail = self._clock(), stated(error)
        for item in items:
            self._keep(self._seen("failed", item, None, now, detail))

    def unpublished(self, subject: str, message: str, attempt: int, error: Exception) -> None:
        """A message could not be published; it is tried again."""
        self._keep(Observation(self._clock(), "unpublished", subject, message, attempt=attempt, detail=stated(error)))

    def dead_letter(self, subject: str | None, cause: str) -> None:
        """A message was given up, for this cause."""
        self._keep(Observation(self._clock(), "dead-letter", subject, detail=cause))

    def _seen(self, kind: Kind, item: Item, answer: Event | None, now: float, detail: str | None = None) -> Observation:
        message, cause, lost = "", None, False
        if isinstance(item, Execute):
            message, cause = type(item.command).__name__, item.cause
            lost = answer is not None and message in self._deciding and _lost(item.command, answer)
        elif isinstance(item, Continue):
            message = type(item.event).__name__
        return Observation(
            now,
            kind,
            item.subject,
            message,
            cause,
            type(answer).__name__ if answer is not None else None,
            detail,
            lost=lost,
            traceparent=item.traceparent,
        )

    def _keep(self, seen: Observation) -> None:
        if seen.kind == "duplicate" and self._metrics is not None:
            self._metrics.inbox_hits.labels(seen.message).inc()
        self._tell(seen)
        if seen.subject is None:
            return
        self._kept.append(seen)
        self._of.setdefault(seen.subject, deque()).append(seen)
        if len(self._kept) > self._most:
            oldest = self._kept.popleft()
            assert oldest.subject is not None
            rest = self._of[oldest.subject]
            rest.popleft()
            if not rest:
                del self._of[oldest.subject]
            self.since = oldest.at

    def _tell(self, seen: Observation) -> None:
        for follower in self._followers:
            follower.add(seen)


def _kind(item: Item, unclaimed: set[str]) -> Kind:
    """What became of an item; `unclaimed` are the commands that are claimed by an item still to come."""
    if isinstance(item, Execute):
        identity = message_id(item.command)
        if identity not in unclaimed:
            return "duplicate"
        unclaimed.remove(identity)
        return "command"
    return "nudge" if isinstance(item, Nudge) else "continued"


def _lost(command: Command, decision: Event) -> bool:
    """Whether the decision is another one than `command` asks for: of the two kinds only cancelling has a reason."""
    return getattr(command, "reason", None) != getattr(decision, "reason", None)

"""Judging deadlines as if nobody had set the database's clock. Pure.

An order's age is `now - created_at` by the database's clock. A step of that clock makes the age of every order in
flight wrong by the step: after a step forward all of them look overdue at once, after a step back none does until the
clock has caught up. A monotonic clock, which nobody can set, tells a step from time that has passed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

MIN_STEP: Final = 2.0  # seconds; a smaller difference is not taken for a step


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The database's clock, and a monotonic clock read before and after it; all in seconds."""

    before: float
    database: float
    after: float


@dataclass(slots=True)
class ClockSteps:
    """Steps forward of the database's clock. Each counts for `deadline` seconds: by then older orders are overdue."""

    deadline: float
    _last: ClockReading | None = field(default=None, init=False)
    _steps: list[tuple[float, float]] = field(default_factory=list, init=False)  # (monotonic end, seconds)

    def excess(self, reading: ClockReading) -> float:
        """The number of seconds by which orders in flight may look too old now.

        A step is what the database's clock advanced beyond the time that can have passed between two readings,
        however long each of them took.
        """
        last, self._last = self._last, reading
        if last is not None:
            step = (reading.database - last.database) - (reading.after - last.before)
            if step > MIN_STEP:
                self._steps.append((reading.after + self.deadline, step))
        self._steps = [(end, step) for end, step in self._steps if end > reading.after]
        return sum(step for _, step in self._steps)


@dataclass(slots=True)
class FutureOrders:
    """Orders whose creation time lies in the future: overdue `deadline` seconds after they were first seen."""

    deadline: float
    _first_seen: dict[str, float] = field(default_factory=dict, init=False)

    @property
    def ids(self) -> Sequence[str]:
        """The orders of the last call of `overdue`."""
        return list(self._first_seen)

    def overdue(self, now: float, undecided: Iterable[str]) -> Sequence[str]:
        """Those of the `undecided` orders that are overdue at the monotonic time `now`; all others are forgotten."""
        self._first_seen = {order_id: self._first_seen.get(order_id, now) for order_id in undecided}
        return [order_id for order_id, since in self._first_seen.items() if now - since > self.deadline]

"""A database's clock may be set; deadlines are judged as if it had not been. Pure.

An order's age is `now - created_at` by the database's clock. After a step of that clock the age of every order in
flight is wrong by the step: forward, and all of them look overdue at once; back, and none does for as long as the step
was. A monotonic clock, which no one sets, tells a step from time that has passed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

LEAST: Final = 2.0  # seconds: a smaller step is none


@dataclass(frozen=True, slots=True)
class Look:
    """The database's clock as it was read, and a monotonic one before and after that; all in seconds."""

    before: float
    database: float
    after: float


@dataclass(slots=True)
class Steps:
    """Steps forward, each until the orders from before it are overdue in truth: after `deadline` seconds."""

    deadline: float
    _last: Look | None = field(default=None, init=False)
    _noticed: list[tuple[float, float]] = field(default_factory=list, init=False)  # until when, how far

    def noticed(self, look: Look) -> float:
        """How many seconds too old the orders in flight may look now.

        A step is what the clock went beyond the time that can have passed between two looks, however long they took.
        """
        last, self._last = self._last, look
        if last is not None:
            step = (look.database - last.database) - (look.after - last.before)
            if step > LEAST:
                self._noticed.append((look.after + self.deadline, step))
        self._noticed = [(until, step) for until, step in self._noticed if until > look.after]
        return sum(step for _, step in self._noticed)


@dataclass(slots=True)
class Ahead:
    """Orders that say they were made in the future: overdue `deadline` seconds after they were first seen."""

    deadline: float
    _since: dict[str, float] = field(default_factory=dict, init=False)

    @property
    def seen(self) -> Sequence[str]:
        """Those that were seen at the last look."""
        return list(self._since)

    def overdue(self, now: float, found: Iterable[str]) -> Sequence[str]:
        """Which of those `found` undecided at this look are overdue; others are forgotten. `now`: monotonic."""
        self._since = {order_id: self._since.get(order_id, now) for order_id in found}
        return [order_id for order_id, since in self._since.items() if now - since > self.deadline]

"""What was broken through the console, and when: the pages of sagas and Flow mark it. Kept in memory, and bounded."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

KEPT: Final = 200
HEAL: Final = "heal"
LOOK_BACK: Final = timedelta(minutes=10)
"""How long before an order an act may have been done that is still shown with it."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that the operator broke or healed: `kind` is a word for programs, `where` and `what` are for people."""

    at: datetime
    kind: str
    where: str
    what: str


class Acts:
    """The last KEPT acts since the console started."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._kept: deque[Act] = deque(maxlen=KEPT)
        self._clock = clock

    def add(self, kind: str, where: str, what: str) -> None:
        """Remember an act of this moment."""
        self._kept.append(Act(self._clock(), kind, where, what))

    def latest(self, count: int) -> Sequence[Act]:
        """The last acts, newest first."""
        return list(reversed(self._kept))[:count]

    def concerning(self, start: datetime, end: datetime | None) -> tuple[Act, ...]:
        """What was broken when an order was placed, and every act until its end, None if it has not ended."""
        before: list[Act] = []
        during: list[Act] = []
        for act in self._kept:
            if act.at >= start:
                if end is None or act.at <= end:
                    during.append(act)
            elif act.kind == HEAL:
                before = []
            elif act.at >= start - LOOK_BACK:
                before.append(act)
        return (*before, *during)

"""Subjects whose rows were locked a moment ago: their commands keep to a lane of their own, and delay no others."""

from collections.abc import Callable
from typing import Final

SUSPECTED: Final = 2.0  # seconds for which a subject is suspected after its rows were locked
SUSPECTS_MAX: Final = 10_000


class Suspects:
    """The subjects that are suspected, and since when."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, monotonic."""
        self._clock = clock
        self._spans: dict[str, tuple[float, float]] = {}  # of each: since when, until when

    def add(self, subject: str) -> None:
        """Suspect it for SUSPECTED seconds from now."""
        now = self._clock()
        if len(self._spans) >= SUSPECTS_MAX:
            self._spans.clear()
        since, until = self._spans.get(subject, (now, now))
        self._spans[subject] = (since if until >= now else now, now + SUSPECTED)

    def discard(self, subject: str) -> None:
        """Suspect it no longer."""
        self._spans.pop(subject, None)

    def since(self, subject: str) -> float:
        """For how many seconds its rows have been locked; 0 if it is not suspected."""
        since, until = self._spans.get(subject, (0.0, 0.0))
        return self._clock() - since if until > self._clock() else 0.0

    def __len__(self) -> int:
        """How many may still be suspected."""
        return len(self._spans)

    def __contains__(self, subject: str) -> bool:
        return subject in self._spans and self._spans[subject][1] > self._clock()

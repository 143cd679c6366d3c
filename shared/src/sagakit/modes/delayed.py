"""Deliveries that are not at fault: their consumer keeps them and they come again, after longer and longer pauses.

They are in memory, and still the consumer's own at its broker. At most MOST times a batch of them is kept: then a
transport takes nothing new until some of these are settled. To give them back to the broker instead would count
towards its own bound of deliveries, and make dead letters of messages that nothing is wrong with.
"""

from collections.abc import Hashable, Iterable
from typing import Final

from sagakit.ports import Delivery

MOST: Final = 10


class Delayed:
    """Pauses begin at `initial` seconds and double up to `longest`, for each key by itself."""

    def __init__(self, initial: float, longest: float) -> None:
        self._initial, self._longest = initial, longest
        self._pauses: dict[Hashable, float] = {}
        self._kept: dict[Hashable, tuple[float, Delivery]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: Hashable, delivery: Delivery, now: float) -> None:
        pause = min(self._pauses.get(key, self._initial / 2) * 2, self._longest)
        self._pauses[key] = pause
        self._kept[key] = now + pause, delivery

    def due(self, now: float) -> list[Delivery]:
        """What is to come again by now; given once, and remembered until it is dropped or kept again."""
        keys = [key for key, (due, _) in self._kept.items() if due <= now]
        return [self._kept.pop(key)[1] for key in keys]

    def wait(self, now: float, longest: float) -> float:
        """Seconds until something is due, `longest` at most."""
        return min([longest, *(max(due - now, 0.0) for due, _ in self._kept.values())])

    def drop(self, keys: Iterable[Hashable]) -> None:
        """These are settled, or no longer this consumer's."""
        for key in keys:
            self._pauses.pop(key, None)
            self._kept.pop(key, None)

    def clear(self) -> list[Delivery]:
        """Drop all; returns what was kept."""
        kept = [delivery for _, delivery in self._kept.values()]
        self._pauses.clear()
        self._kept.clear()
        return kept

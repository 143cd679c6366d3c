"""Deliveries that are not at fault: their consumer keeps them in memory and retries them after growing pauses.

At the broker they stay the consumer's own. A transport that keeps MOST batches of them receives nothing new until some
are settled. Giving them back to the broker instead would count towards the broker's own limit of deliveries, and would
make dead letters of messages that nothing is wrong with.
"""

from collections.abc import Hashable, Iterable
from typing import Final

from sagakit.ports import Delivery
from sagakit.tasks import Backoff

MOST: Final = 10  # batches


class Delayed:
    """The pause of each key begins at `initial` seconds and doubles up to `longest`. Times are seconds of one clock."""

    def __init__(self, initial: float, longest: float) -> None:
        self._backoff = Backoff(initial, longest)
        self._times: dict[Hashable, int] = {}  # how often a key has been kept
        self._kept: dict[Hashable, tuple[float, Delivery]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: Hashable, delivery: Delivery, now: float) -> None:
        """Keep the delivery until its pause is over; the pause is longer each time."""
        times = self._times.get(key, 0)
        self._times[key] = times + 1
        self._kept[key] = now + self._backoff.pause(times), delivery

    def due(self, now: float) -> list[Delivery]:
        """The deliveries whose pause is over. Each is returned once; its key is remembered until it is dropped."""
        keys = [key for key, (due, _) in self._kept.items() if due <= now]
        return [self._kept.pop(key)[1] for key in keys]

    def wait(self, now: float, longest: float) -> float:
        """Seconds until the next delivery is due, at most `longest`."""
        return min([longest, *(max(due - now, 0.0) for due, _ in self._kept.values())])

    def drop(self, keys: Iterable[Hashable]) -> None:
        """Forget deliveries that are settled, or no longer this consumer's."""
        for key in keys:
            self._times.pop(key, None)
            self._kept.pop(key, None)

    def clear(self) -> list[Delivery]:
        """Forget all deliveries, and return those that were kept."""
        kept = [delivery for _, delivery in self._kept.values()]
        self._times.clear()
        self._kept.clear()
        return kept

"""How long orders take now: until twice that an order is as slow as the others, and has lost nothing. Pure.

An order is nudged no sooner, as TCP sends a packet again no sooner than the round-trip time asks for: on a system that
is only slow, what is sent again makes it slower. The time of an order that was nudged counts from its first nudge. If
the nudge has repaired something, that is short, whatever the outage before it has taken; if the system is slow, it is
not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

PATIENCE: Final = 2.0  # times the usual time
KNOWN_MAX: Final = 10_000  # orders whose first nudge is remembered


@dataclass(slots=True)
class UsualTime:
    """The time before which no order is nudged, of `most` seconds at most. `now` is any clock that is never set."""

    most: float
    _first_nudge: dict[str, float] = field(default_factory=dict, init=False)  # order id -> when

    def nudged(self, order_ids: Iterable[str], now: float) -> None:
        """Note that these orders are nudged."""
        for order_id in order_ids:
            self._first_nudge.setdefault(order_id, now)
        while len(self._first_nudge) > KNOWN_MAX:
            del self._first_nudge[next(iter(self._first_nudge))]

    def patience(self, settled: Iterable[tuple[str, float, float]], now: float) -> float:
        """Seconds before which no order is nudged.

        Args:
            settled: Orders that were settled lately: id, seconds since it was placed, seconds since it was settled.
            now: The time.
        """
        began = self._first_nudge
        times = [(now - began[one] if one in began else age) - ago for one, age, ago in settled]
        return min(max(PATIENCE * median(times), 0.0), self.most) if times else 0.0

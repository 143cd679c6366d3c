"""How many orders may be in flight, and when a client that was refused should try again. Pure.

By Little's law, N orders in flight that end at X a second take N / X seconds. So the limit is the measured rate times
the seconds that an order may take. It follows the system, whatever carries the messages: it grows where more orders at
a time make larger batches, and shrinks where they make the system slower. A fixed number of orders is admitted without
regard to this as long as they end well before their deadline.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

TICK: Final = 0.5  # seconds between two observations
LEAST: Final = 200  # orders: the limit while hardly anything ends, as in an outage; 30 s at 6 orders a second
OUTAGE: Final = 0.25  # of the highest rate lately: below it hardly anything ends
RATE_OVER: Final = 8  # ticks over which the rate is measured
REMEMBERED: Final = 60  # ticks for which the highest rate counts; a pause shorter than this changes no limit
PART_OF_DEADLINE: Final = 0.5
RETRY_MOST: Final = 60  # seconds
RETURNING: Final = 0.5  # of the rate; the rest is for clients who are new
RETURNING_LEAST: Final = 10.0  # clients a second, even after an outage, when the rate says nothing


@dataclass(slots=True)
class InFlightLimit:
    """The limit of orders in flight, adjusted at each observation.

    Attributes:
        free: Orders in flight that are admitted as long as they end within a part of their deadline.
        latency: Seconds that orders may take where there are more than `free`.
        deadline: Seconds after which an undecided order is cancelled.
        least: The limit in an outage, at least.
        limit: Orders that may be in flight now.
        rate: The highest measured rate at which orders have ended lately, in orders a second; 0 if there is none.
    """

    free: int
    latency: float
    deadline: float
    least: int = LEAST
    limit: int = field(init=False)
    rate: float = field(default=0.0, init=False)
    _ended: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=RATE_OVER), init=False)
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED), init=False)
    _next_turn: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.limit = self.free

    def observe(self, ended: int, seconds: float, age: float) -> None:
        """Adjust the limit.

        Args:
            ended: Orders that have ended since the last observation.
            seconds: How long ago that was, which is about a TICK.
            age: The median age of the orders in flight, in seconds: half of what they take in all. Unlike the age of
                the oldest it does not follow single orders that wait for something else.
        """
        if not ended and not age:
            self._ended.clear()  # nothing to do: that is not slow
        self._ended.append((ended, seconds))
        self._rates.append(sum(count for count, _ in self._ended) / sum(span for _, span in self._ended))
        self.rate = max(self._rates)
        fast = self.rate * self.latency
        if age * 2 <= self.latency:
            self.limit = max(self.free, int(fast))  # nobody waits: how many could end is not known, only how many did
        else:
            slow = min(self.free, self.rate * self.deadline * PART_OF_DEADLINE)
            least = self.least if self._rates[-1] < OUTAGE * self.rate else min(self.least, self.free)
            self.limit = int(max(least, slow, fast))

    def retry_after(self, now: float) -> int:
        """The number of seconds after which one more refused client should come again.

        Each gets the next turn, and there are half as many turns a second as orders end, so that clients come back
        spread out, and more slowly than they can be served: a refusal costs too. Ten refusals a second cost little.
        """
        turns = max(RETURNING * (self.rate or self.free / self.latency), RETURNING_LEAST)
        self._next_turn = min(max(self._next_turn, now) + 1 / turns, now + RETRY_MOST)
        return min(max(math.ceil(self._next_turn - now), 1), RETRY_MOST)

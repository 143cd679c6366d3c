"""How many nudges a sweep may send. Pure.

A nudge costs about half a checkout. A system that is behind would spend its time on the answers to nudges if every late
order were nudged, and would never catch up. So the rate is halved while nudges do not help, and doubled while they do,
as congestion control does for packets on a network.
"""

from dataclasses import dataclass, field

MIN_PER_SWEEP = 0.5  # nudges; even an overloaded system finds lost messages in the end
ADJUST_EVERY = 2  # sweeps
MIN_GAIN = 0.5  # late orders fewer per nudge sent; from this on nudges are said to help


@dataclass(slots=True)
class NudgeRate:
    """The number of nudges per sweep, between MIN_PER_SWEEP and `most`, adjusted to the number of late orders."""

    most: int
    rate: float = field(init=False)
    _credit: float = field(default=0.0, init=False)
    _late_before: int = field(default=0, init=False)
    _sent: int = field(default=0, init=False)
    _sweeps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.rate = float(self.most)

    def allowed(self, late: int) -> int:
        """The number of nudges that this sweep may send, given the number of orders that are late now."""
        self._sweeps += 1
        if self._sweeps % ADJUST_EVERY == 0:
            gain = self._late_before - late
            helped = late == 0 or (gain > 0 and gain >= self._sent * MIN_GAIN)
            self.rate = min(self.rate * 2, float(self.most)) if helped else max(self.rate / 2, MIN_PER_SWEEP)
            self._late_before, self._sent = late, 0
        self._credit = min(self._credit + self.rate, float(self.most))
        count = int(self._credit)
        self._credit -= count
        self._sent += count
        return count

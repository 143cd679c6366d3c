"""How many reminders do good. Pure.

A reminder costs about half a checkout, so a system that is behind gets no further by being reminded of everything: it
would be kept from its work by the answers to reminders, for ever. So they are fewer while late orders do not become
fewer, and more again while they do, as senders on a crowded network do it.
"""

from dataclasses import dataclass, field

MIN_PER_SWEEP = 0.5  # per sweep: what was lost is found again, however crowded it is
ADJUST_EVERY = 2  # sweeps between two looks at the number of late orders
MIN_GAIN = 0.5  # a late order less for so many of a reminder: they help, or there is room for more


@dataclass(slots=True)
class NudgeRate:
    """`most` reminders a sweep, and at least one every other sweep; in between, what the late orders tell."""

    most: int
    rate: float = field(init=False)
    _credit: float = field(default=0.0, init=False)
    _late: int = field(default=0, init=False)
    _sent: int = field(default=0, init=False)
    _sweeps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.rate = float(self.most)

    def allowed(self, late: int) -> int:
        """How many reminders this sweep may send, with so many late orders now."""
        self._sweeps += 1
        if self._sweeps % ADJUST_EVERY == 0:
            helped = late == 0 or (late < self._late and self._late - late >= self._sent * MIN_GAIN)
            self.rate = min(self.rate * 2, float(self.most)) if helped else max(self.rate / 2, MIN_PER_SWEEP)
            self._late, self._sent = late, 0
        self._credit = min(self._credit + self.rate, float(self.most))
        now = int(self._credit)
        self._credit -= now
        self._sent += now
        return now

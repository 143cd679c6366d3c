"""How much of the machine's CPU went to others during a run, and whether the run is repeated because of it."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

import psutil

from loadtests.bench import processes
from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import Disturbance, Run

ATTEMPTS: Final = 3
"""A run is made so often at most: it is repeated twice."""


@dataclass(frozen=True, slots=True)
class MachineTime:
    """CPU seconds of the whole machine up to a moment: used by programs, taken by the host, used by ours."""

    at: float
    used: float
    stolen: float
    ours: float

    @classmethod
    def read(cls, roots: Mapping[str, int]) -> Self:
        """Read them now; ours are the process trees of these roots and of the bench itself, Locust included."""
        ours = processes.together([*roots.values(), os.getpid()]) / 1000
        times = psutil.cpu_times()  # without interrupts, which may be ours as well
        return cls(time.monotonic(), times.user + times.nice + times.system, times.steal, ours)

    def since(self, before: Self) -> Disturbance:
        """The part of all cores' time that was not ours, in percent."""
        whole = max(self.at - before.at, 1e-9) * (psutil.cpu_count() or 1) / 100
        foreign = (self.used - before.used) - (self.ours - before.ours)
        return Disturbance(
            round(max(self.stolen - before.stolen, 0.0) / whole, 2),
            round(max(foreign, 0.0) / whole, 2),
        )


def reason(run: Run, plan: BenchPlan) -> str:
    """Why the run counts as disturbed; an empty text if it does not."""
    if run.disturbance is None:
        return ""
    measured = {
        "the host took": (run.disturbance.steal, plan.steal_max),
        "other programs used": (run.disturbance.foreign, plan.foreign_max),
    }
    return "; ".join(
        f"{what} {value:.1f} % of the machine's CPU, more than {limit:g} %"
        for what, (value, limit) in measured.items()
        if value > limit
    )


def attempts(measure: Callable[[int], Run], plan: BenchPlan, discard: Callable[[str], None]) -> tuple[Run, ...]:
    """Measure until a run is undisturbed, ATTEMPTS times at most; the last of those returned is the one that counts.

    Whether a run is repeated depends on the machine only, not on what was measured.

    Args:
        measure: Makes a run; gets the number of the attempt.
        plan: Has the limits.
        discard: Called with the reason before each repetition.
    """
    made = [measure(1)]
    while (why := reason(made[-1], plan)) and len(made) < ATTEMPTS:
        discard(why)
        made.append(measure(len(made) + 1))
    return tuple(made)

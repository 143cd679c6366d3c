"""The bench's own checks of a record: each finding is a sentence, and any finding makes the exit status 1. Pure.

A bench in which an audit is not clean, an order did not complete or a mode had other settings shows nothing about the
modes. A mode that stalls is found in two ways: its transactions take much longer than those of the other modes, or,
with the record of an earlier bench as BASELINE, its figures are worse than they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Final

from loadtests.bench.parts import PEER, STEADY
from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import Record, Run
from loadtests.bench.summary import HEADLINE, Spread, Summary, summarize
from loadtests.bench.tables import figure, ranged

STALL: Final = 3.0
"""A mode's transaction may take so many times as long as the median of the other modes' at most."""
LEAST_MODES: Final = 3
"""Of so few modes at one rate nobody can say which is the odd one."""
TOLERANCE: Final = 0.25
"""By how much a figure may be worse than in the baseline, intervals or not: so much the speed of a machine varies."""

GIVEN_RATE: Final = (STEADY, PEER, "failing-1", "failing-10", "slow-provider")
"""The parts with a load at a given rate for the duration of the plan."""
CHANCE: Final = 4.0
"""Standard deviations by which fewer orders may arrive than expected, as they do in one of 30,000 runs."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One headline figure of one mode and rate, in the baseline and now."""

    label: str
    name: str
    before: Spread
    now: Spread

    @property
    def overlap(self) -> bool:
        """Whether the two intervals have a value in common."""
        return self.before.low <= self.now.high and self.now.low <= self.before.high

    @property
    def worse(self) -> bool:
        """Whether the figure is worse beyond the intervals and TOLERANCE."""
        before, now = self.before.median, self.now.median
        by = before - now if self.name == "completed" else now - before
        return not self.overlap and by > TOLERANCE * before


class NotComparable(ValueError):
    """The baseline says nothing about this bench; the message says in one line why."""


def comparable(baseline: Record, record: Record) -> None:
    """Check that figures of the two may be compared.

    Raises:
        NotComparable: They come from different machines, or with different providers, or have no mode and rate in
            common.
    """
    for what, before, now in (
        ("machine", baseline.machine.name, record.machine.name),
        ("PROVIDERS", baseline.plan.providers, record.plan.providers),
    ):
        if before != now:
            raise NotComparable(f"BASELINE cannot be compared: its {what} is {before}, here it is {now}")
    if not {(turn.mode, turn.rate) for turn in baseline.plan.turns()} & {
        (turn.mode, turn.rate) for turn in record.plan.turns()
    }:
        raise NotComparable("BASELINE cannot be compared: it has no mode at a RATE of this bench")


def findings(record: Record, baseline: Record | None = None) -> list[str]:
    """All findings in a record; none if it may be trusted."""
    summaries = summarize(record)
    found = [*_incomplete(record), *_wrong(record), *_unequal(record), *_stalled(summaries)]
    if baseline is not None:
        found += [_worse(cell) for cell in cells(baseline, record) if cell.worse]
    return found


def cells(baseline: Record, record: Record) -> list[Cell]:
    """The headline figures of the modes and rates that both records have."""
    before = {(one.mode, one.offered): one for one in summarize(baseline)}
    pairs = [(before[one.mode, one.offered], one) for one in summarize(record) if (one.mode, one.offered) in before]
    return [Cell(now.label, name, getattr(then, name), getattr(now, name)) for then, now in pairs for name in HEADLINE]


def _incomplete(record: Record) -> list[str]:
    planned, made = len(record.turns), sum(run.mode not in record.missing for run in record.runs)
    return [] if record.whole else [f"{planned - made} of {planned} planned runs are missing"]


def _wrong(record: Record) -> list[str]:
    discarded = [f"{one.run}, discarded: the audit is not clean" for one in record.discarded if not one.run.consistent]
    return [f"{run}: {what}" for run in record.runs for what in _defects(run, record.plan)] + discarded


def _defects(run: Run, plan: BenchPlan) -> list[str]:
    """What is wrong with a run that counts."""
    expected = run.offered * plan.duration
    placed = run.seen.placed
    defects = {
        "no order completed": not run.orders,
        f"{placed} orders were placed instead of about {expected:.0f}: the load generator fell behind": (
            run.part in GIVEN_RATE and placed < expected - CHANCE * sqrt(expected)
        ),
        f"{run.seen.timed_out} orders timed out": run.seen.timed_out,
        f"{run.seen.failed} orders failed": run.seen.failed,
        "the stack has not drained": not run.drained,
        "the audit is not clean": not run.consistent,
    }
    return [what for what, is_so in defects.items() if is_so]


def _unequal(record: Record) -> list[str]:
    steady = [run for run in record.runs if run.part == STEADY]
    names = dict.fromkeys(name for run in steady for name in run.settings)
    values = {name: sorted({run.settings.get(name, "unknown") for run in steady}) for name in names}
    return [f"{name} is not the same in all runs: {', '.join(of)}" for name, of in values.items() if len(of) > 1]


def _stalled(summaries: Sequence[Summary]) -> list[str]:
    found = []
    for one in summaries:
        others = [each.door_ms.median for each in summaries if each.offered == one.offered and each is not one]
        if len(others) + 1 >= LEAST_MODES and one.door_ms.low > STALL * median(others):
            found.append(
                f"{one.label}: a transaction takes {ranged(one.door_ms)} ms, "
                f"more than {STALL:g} times the {figure(median(others))} ms of the other modes"
            )
    return found


def _worse(cell: Cell) -> str:
    return f"{cell.label}: {HEADLINE[cell.name]} {ranged(cell.now)}, in the baseline {ranged(cell.before)}"

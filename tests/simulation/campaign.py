"""Runs many schedules on all cores; counts what they reached, and finds the first that fails.

Guarantee: the outcome depends only on the style and the range of seeds, not on how many processes share the work; the
failure that is reported has the lowest seed of those that were run.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

from tests.simulation.design import Design
from tests.simulation.reached import reached
from tests.simulation.schedule import run

CHUNK: Final = 250
"""Schedules that a process takes at a time: about half a second of work."""


@dataclass(frozen=True, slots=True)
class Part:
    """`count` schedules of one style from seed `first` on."""

    style: str
    first: int
    count: int


@dataclass(slots=True)
class Tally:
    """The results of schedules: their number and steps, in how many each name was reached, and the seeds that failed.

    `failed`: (style, seed), the lowest of each part.
    """

    schedules: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, int]] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.schedules += other.schedules
        self.steps += other.steps
        self.seen += other.seen
        self.failed += other.failed


def simulate(part: Part) -> Tally:
    """Run a part up to its first failure."""
    tally, design = Tally(), Design(part.style)
    for seed in range(part.first, part.first + part.count):
        done = run(design, seed)
        tally.schedules[part.style] += 1
        tally.steps += len(done.steps)
        tally.seen.update(reached(done))
        if done.violations:
            tally.failed.append((part.style, seed))
            break
    return tally


def parts_of(styles: Sequence[str], first: int, schedules: int, chunk: int = CHUNK) -> list[Part]:
    """Divide `schedules` of each style into parts, the styles in turns."""
    return [
        Part(style, start, min(chunk, first + schedules - start))
        for start in range(first, first + schedules, chunk)
        for style in styles
    ]


def campaign(parts: Sequence[Part], processes: int, progress: Callable[[Tally], None]) -> Tally:
    """Run the parts; after a failure those that run are finished, and no other begins.

    `progress` is given the sum so far each time a part has ended.
    """
    total = Tally()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for tally in _in_turn(pool, parts, 2 * processes, total):
            total.add(tally)
            progress(total)
    total.failed.sort(key=lambda one: one[1])
    return total


def _in_turn(pool: ProcessPoolExecutor, parts: Sequence[Part], ahead: int, total: Tally) -> Iterator[Tally]:
    """Yield results as parts end, with at most `ahead` parts submitted at a time."""
    left = list(reversed(parts))
    pending: set[Future[Tally]] = set()
    while pending or (left and not total.failed):
        while left and len(pending) < ahead and not total.failed:
            pending.add(pool.submit(simulate, left.pop()))
        ended, pending = wait(pending, return_when=FIRST_COMPLETED)
        for one in ended:
            yield one.result()

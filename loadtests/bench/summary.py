"""Figures per completed order from the runs of a record: the median over the runs of a mode, and its interval. Pure.

What an idle stack uses is subtracted: its polls and heartbeats cost the same for one order a second and for a thousand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.stats import bootstrap

from loadtests.bench.disturbance import reason
from loadtests.bench.parts import STEADY
from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import Record, Run
from quartet_stack.settings import SERVICES
from sagakit.modes import MODES

DATABASES: Final = tuple(f"{name}-db" for name in SERVICES)
OURS_BESIDES: Final = ("provider", "console", "auditor")
"""Programs of the stack that are neither service nor database nor carrier."""
CONFIDENCE: Final = 0.95
"""Of the intervals around medians."""
HEADLINE: Final[Mapping[str, str]] = {
    "completed": "completed %",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "cpu": "CPU ms",
    "writes": "writes",
    "messages": "messages",
}
"""The figures of the headline table: the field of a Summary and its name; from `cpu` on per completed order."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several runs, and the bounds of its interval of CONFIDENCE; of one run both are the median."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Service:
    """One service, per completed order (medians): CPU in ms of its process and of its database, and its work.

    `batch` is commands per transaction, `seconds` how long one transaction takes; `writes` are transactions of its
    database that wrote, `wal_bytes` what they added to its write-ahead log.
    """

    cpu: float
    database_cpu: float
    transactions: float
    batch: float
    seconds: float
    writes: float
    wal_bytes: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One mode at one `offered` rate, sums over its services; `label` names both, where there are several rates.

    CPU in ms per completed order, `idle` in percent of a core, latency in ms, `door_ms` of a transaction. `placed`,
    `timed_out` and `failed` count orders of the steady windows, `disturbed` those runs that count although the machine
    was disturbed each time.
    """

    mode: str
    offered: float
    label: str
    runs: int
    disturbed: int
    placed: int
    timed_out: int
    failed: int
    consistent: bool
    cpu: Spread
    services: Spread
    databases: Spread
    carrier: Spread
    provider: Spread
    idle: Spread
    transactions: Spread
    batch: Spread
    door_ms: Spread
    messages: Spread
    message_bytes: Spread
    writes: Spread
    wal_bytes: Spread
    completed: Spread
    rate: Spread
    p50: Spread
    p95: Spread
    p99: Spread
    parts: Mapping[str, Service]

    @property
    def substrate(self) -> str:
        """What carries the messages, as `sagakit.modes` names it."""
        return MODES[self.mode].substrate

    @property
    def busiest(self) -> str:
        """The service whose process needs the most CPU."""
        return max(self.parts, key=lambda name: self.parts[name].cpu)


def summarize(record: Record) -> list[Summary]:
    """Summarize each mode and rate at which an order completed in some steady run, in the order of the plan."""
    plan = record.plan
    cells = {
        (mode, rate): [
            run for run in record.runs if (run.mode, run.offered, run.part) == (mode, rate, STEADY) and run.orders
        ]
        for mode in plan.modes
        for rate in plan.rates
    }
    return [summed(plan, mode, rate, runs) for (mode, rate), runs in cells.items() if runs]


def net_cpu(run: Run) -> dict[str, float]:
    """CPU of each program in ms per completed order, less what it uses when there is nothing to do; never below 0."""
    share = run.load.seconds / run.idle.seconds if run.idle.seconds else 0.0
    return {
        name: max(used - run.idle.cpu.get(name, 0.0) * share, 0.0) / run.orders for name, used in run.load.cpu.items()
    }


def spread(runs: Sequence[Run], value: Callable[[Run], float]) -> Spread:
    """Take the median of a value over runs, with its interval by a percentile bootstrap.

    The same runs give the same interval. With up to five runs it is their range: so few cannot exclude any of them.
    """
    return of_values([value(run) for run in runs])


def of_values(values: Sequence[float]) -> Spread:
    """Take the median of values with its interval, as `spread` does."""
    return _interval(tuple(values))


@lru_cache(maxsize=10_000)  # a report has the same figure in several tables
def _interval(values: tuple[float, ...]) -> Spread:
    median = _median(values)
    if len(values) == 1:
        return Spread(median, median, median)
    drawn = bootstrap(
        (values,), np.median, confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(0)
    )
    return Spread(median, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def confidence(runs: int) -> float:
    """How sure the interval of so many runs holds the true median.

    Of five runs and fewer it is their range, which holds it unless all of them are on the same side of it.
    """
    return min(CONFIDENCE, 1 - 2.0 ** (1 - runs))


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def summed(plan: BenchPlan, mode: str, rate: float, runs: Sequence[Run]) -> Summary:
    """Summarize runs of one mode (or peer), one part and one rate, in all of which orders completed."""

    def cpu(names: Callable[[str], bool]) -> Spread:
        return spread(runs, lambda run: sum(used for name, used in net_cpu(run).items() if names(name)))

    return Summary(
        mode=mode,
        offered=rate,
        label=mode if len(plan.rates) == 1 else f"{mode} at {rate:g}/s",
        runs=len(runs),
        disturbed=sum(bool(reason(run, plan)) for run in runs),
        placed=sum(run.seen.placed for run in runs),
        timed_out=sum(run.seen.timed_out for run in runs),
        failed=sum(run.seen.failed for run in runs),
        consistent=all(run.consistent and run.drained for run in runs),
        cpu=cpu(lambda name: True),
        services=cpu(lambda name: name in SERVICES),
        databases=cpu(lambda name: name in DATABASES),
        carrier=cpu(lambda name: name not in (*SERVICES, *DATABASES, *OURS_BESIDES)),
        provider=cpu(lambda name: name == "provider"),
        idle=spread(runs, _idle),
        transactions=spread(runs, lambda run: run.door.transactions / run.orders),
        batch=spread(runs, lambda run: run.door.batch),
        door_ms=spread(runs, lambda run: run.door.each * 1000),
        messages=spread(runs, lambda run: run.door.messages / run.orders),
        message_bytes=spread(runs, lambda run: run.door.message_bytes / run.orders),
        writes=spread(runs, lambda run: run.log.writes / run.orders),
        wal_bytes=spread(runs, lambda run: run.log.wal_bytes / run.orders),
        completed=spread(runs, lambda run: run.seen.completed),
        rate=spread(runs, lambda run: run.seen.rate),
        p50=spread(runs, lambda run: run.seen.p50),
        p95=spread(runs, lambda run: run.seen.p95),
        p99=spread(runs, lambda run: run.seen.p99),
        parts={name: _service(name, runs) for name in SERVICES},
    )


def _service(name: str, runs: Sequence[Run]) -> Service:
    def middle(value: Callable[[Run], float]) -> float:
        return _median([value(run) for run in runs])

    return Service(
        cpu=middle(lambda run: net_cpu(run)[name]),
        database_cpu=middle(lambda run: net_cpu(run)[f"{name}-db"]),
        transactions=middle(lambda run: run.doors[name].transactions / run.orders),
        batch=middle(lambda run: run.doors[name].batch),
        seconds=middle(lambda run: run.doors[name].each),
        writes=middle(lambda run: run.logs[name].writes / run.orders),
        wal_bytes=middle(lambda run: run.logs[name].wal_bytes / run.orders),
    )


def _idle(run: Run) -> float:
    """Percent of a core that the stack uses without an order."""
    return sum(run.idle.cpu.values()) / run.idle.seconds / 10 if run.idle.seconds else 0.0

"""The runs of a bench on its own stack: start, warm-up, idle, load, drain, audit, with measurements between them."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console

from checkout_audit.audit import AuditOptions, audit
from checkout_audit.clients import read_history
from checkout_audit.drain import InFlight, drain
from checkout_audit.render import show
from checkout_audit.snapshot import ClientObservation
from checkout_audit.target import Target
from loadtests.bench.measure import Reading, Stopwatch, counters, equal_settings, postgresql
from loadtests.bench.parts import part
from loadtests.bench.plan import BenchPlan, stack_settings
from loadtests.bench.record import Run, Usage
from loadtests.bench.sights import seen
from loadtests.bench.turns import Turn
from loadtests.history import FILE as HISTORY
from loadtests.run import locust, settings
from quartet_stack import api
from quartet_stack.errors import StackError

DRAIN: Final = 60.0
LONGER: Final = 1
"""Seconds that the load lasts beyond the window: the window begins at the first order, which comes a little later."""


class Clock(Protocol):
    """Reads CPU time, as a Stopwatch does."""

    def read(self) -> Reading:
        """Read the CPU time that each program has used so far."""


@dataclass
class Visit:
    """What the runs of one mode in one round share: the running stack, and what its clients were told so far.

    `stack` is its environment, `given` the settings with which it was started, in addition to those of the plan;
    `since` is when it began; `idle` is what it uses without an order; `holds` is the highest rate that held, if it is
    known.
    """

    number: int = 0
    mode: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    stack: Mapping[str, str] = field(default_factory=dict)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    told: tuple[ClientObservation, ...] = ()
    idle: Usage = field(default_factory=lambda: Usage(0.0, {}))
    holds: float = 0.0


@dataclass(frozen=True)
class Load:
    """A load: orders of `mix` at `rate` for `settle` and then for `window` seconds, which is what is looked at."""

    rate: float
    settle: float
    window: float
    mix: str

    @property
    def seconds(self) -> int:
        """How long orders arrive."""
        return int(self.settle + self.window + LONGER)


@dataclass(frozen=True)
class Bench:
    """What all runs have in common. `say` is called with each step."""

    plan: BenchPlan
    environ: Mapping[str, str]
    console: Console
    say: Callable[[str], None] = lambda what: None
    visit: Visit = field(default_factory=Visit)

    @property
    def stack_dir(self) -> str:
        """The folder of the bench's own stack."""
        return stack_settings(self.plan, self.environ)["STACK_DIR"]

    def up(self, mode: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """Bring up the bench's own stack in that mode, with the data of earlier runs; returns its environment."""
        return api.up(mode, env={**stack_settings(self.plan, self.environ), **(given or {})})

    def postgresql(self) -> str:
        """The version of the running stack's database server."""
        return postgresql(api.stack_environment(self.stack_dir))

    def clean(self) -> None:
        """Stop the bench's own stack and delete its data."""
        api.down(self.stack_dir, delete_data=True)

    def begin(self, turn: Turn, target: Path, warm: bool = True, more: Mapping[str, str] | None = None) -> None:
        """Have the stack run as this run needs it, warmed up if wanted; nothing happens if it does already.

        Each round begins with empty databases, so that no round has more stored orders than another. `more` are
        settings of the stack beside those of the part.
        """
        visit, given = self.visit, {**part(turn.part).settings, **(more or {})}
        if (visit.number, visit.mode, visit.given) == (turn.number, turn.mode, given):
            return
        if visit.number != turn.number:
            self.say("deleting the data of the last round")
            self.clean()
        self.say("starting")
        if (visit.number, visit.mode) != (turn.number, turn.mode):
            visit.since, visit.told, visit.holds = datetime.now(UTC), (), 0.0
        visit.stack = self.up(turn.mode, given)
        visit.number, visit.mode, visit.given = turn.number, turn.mode, given
        if not warm:
            return
        watch = Stopwatch(self.stack_dir)
        if self.plan.warmup:
            self.say("warming up")
            self.load(turn, Load(turn.rate, 0, self.plan.warmup - LONGER, "good"), target / "warm-up")
        self.say("measuring it idle")
        first = watch.read()
        time.sleep(self.plan.idle)  # the interval is what is measured
        visit.idle = watch.read() - first

    def measured(self, turn: Turn, load: Load, target: Path, without: Collection[str] = ()) -> Run:
        """Measure the running stack under a load, until it has drained. The audit is left to the caller.

        Args:
            turn: Which run.
            load: The load.
            target: The folder for Locust's reports and the history.
            without: Programs that may end meanwhile; their CPU is not counted.
        """
        stack, watch = self.visit.stack, Stopwatch(self.stack_dir, without)
        before = counters(stack)
        machine = watch.machine()
        began = watch.read()
        self.say(f"{load.rate:g} orders/s for {load.settle + load.window:g} s")
        self.load(turn, load, target)
        disturbance = watch.machine().since(machine)
        self.say("draining")
        ended, drained = until_drained(Target.from_environment(stack), watch)
        after = counters(stack)
        return Run(
            mode=turn.mode,
            number=turn.number,
            offered=load.rate,
            orders=after.completed - before.completed,
            seen=seen(target / HISTORY, load.settle, load.window),
            idle=self.visit.idle,
            load=ended - began,
            doors={name: door - before.doors[name] for name, door in after.doors.items()},
            logs={name: log - before.logs[name] for name, log in after.logs.items()},
            drained=drained,
            consistent=True,
            disturbance=disturbance,
            settings=equal_settings(stack),
            part=turn.part,
        )

    def load(self, turn: Turn, load: Load, folder: Path) -> None:
        """Run Locust, and remember what its clients were told.

        In runs of the same number and rate the same orders arrive at the same times in every mode.

        Raises:
            StackError: Locust could not run.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HISTORY).unlink(missing_ok=True)  # of a bench that ended within this run
        seed = str(self.plan.seed + turn.number)
        values = {"RATE": f"{load.rate:g}", "DURATION": str(load.seconds), "MIX": load.mix, "SEED": seed}
        log = folder / "locust.log"
        status = locust(settings(values), self.visit.stack, folder, log)
        if status not in (0, 1):
            raise StackError(f"Locust ended with status {status}; see {log}")
        self.visit.told += read_history(folder / HISTORY)

    def audited(self, run: Run) -> Run:
        """Audit what has changed since the visit began; returns the run with the verdict."""
        self.say("auditing")
        visit = self.visit
        report = audit(Target.from_environment(visit.stack), AuditOptions(history=visit.told, since=visit.since))
        if not report.consistent:
            show(report, self.console)
        return replace(run, consistent=report.consistent)


def until_drained(target: Target, watch: Clock, seconds: float = DRAIN) -> tuple[Reading, bool]:
    """Wait until no order is in flight; returns the CPU used so far, and whether the stack has drained in that time.

    Each check connects to four databases, which costs as much CPU as some orders: the last check is not counted.
    """
    readings = [watch.read()]

    def looked(in_flight: InFlight) -> None:
        if in_flight:
            readings.append(watch.read())

    left = asyncio.run(drain(target.databases, seconds, looked))
    return readings[-1], not left


@contextmanager
def stopped(names: tuple[str, ...], stack_dir: str) -> Iterator[None]:
    """Have these programs of the stack stopped within the block."""
    for name in names:
        api.stop(name, stack_dir)
    try:
        yield
    finally:
        for name in names:
            api.start(name, stack_dir)

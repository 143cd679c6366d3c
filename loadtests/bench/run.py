"""One run of one mode: stack up, warm-up, a while of nothing, the load, drain, audit; with looks in between."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console

from checkout_audit.audit import AuditOptions, audit
from checkout_audit.clients import read_history
from checkout_audit.drain import InFlight, drain
from checkout_audit.render import show
from checkout_audit.snapshot import ClientObservation
from checkout_audit.target import Target
from loadtests.bench.measure import Reading, Stopwatch, counters, postgresql
from loadtests.bench.plan import BenchPlan, stack_settings
from loadtests.bench.record import Run, Seen
from loadtests.history import FILE as HISTORY
from loadtests.outcomes import FILE, figures
from loadtests.run import locust, settings
from quartet_stack import api
from quartet_stack.errors import StackError

DRAIN: Final = 60.0
KIND: Final = "good"


class Clock(Protocol):
    """What Stopwatch is to those who only read it."""

    def read(self) -> Reading: ...


@dataclass(frozen=True)
class Bench:
    """What all runs have in common. `say` gets a word on what happens now; `folder` keeps Locust's own reports."""

    plan: BenchPlan
    environ: Mapping[str, str]
    folder: Path
    console: Console
    say: Callable[[str], None] = lambda what: None

    @property
    def stack_dir(self) -> str:
        return stack_settings(self.plan, self.environ)["STACK_DIR"]

    def up(self, mode: str) -> dict[str, str]:
        """The bench's own stack in that mode; its data stay from run to run. Raises StackError."""
        return api.up(mode, env=stack_settings(self.plan, self.environ))

    def postgresql(self) -> str:
        """The version of the servers of the stack that runs."""
        return postgresql(api.stack_environment(self.stack_dir))

    def clean(self) -> None:
        """Nothing of the stack is left."""
        api.down(self.stack_dir, delete_data=True)

    def run(self, mode: str, number: int) -> Run:
        """Raises StackError, or what `counters` raises, where nothing could be measured."""
        plan, target = self.plan, self.folder / f"{number}-{mode}"
        self.say("starting")
        stack = self.up(mode)
        watch = Stopwatch(self.stack_dir)
        told: tuple[ClientObservation, ...] = ()
        if plan.warmup:
            self.say("warming up")
            told = self.load(stack, number, plan.warmup, target / "warm-up")
        self.say("measuring it idle")
        first = watch.read()
        time.sleep(plan.idle)  # the interval is what is measured
        idle = watch.read() - first
        before = counters(stack)
        began = watch.read()
        self.say(f"{plan.rate:g} orders/s for {plan.duration:g} s")
        told += self.load(stack, number, plan.duration, target)
        self.say("draining")
        ended, drained = until_drained(Target.from_environment(stack), watch)
        after = counters(stack)
        self.say("auditing")
        return Run(
            mode=mode,
            number=number,
            orders=after.completed - before.completed,
            seen=seen(target, plan.duration),
            idle=idle,
            load=ended - began,
            doors={name: door - before.doors[name] for name, door in after.doors.items()},
            logs={name: log - before.logs[name] for name, log in after.logs.items()},
            drained=drained,
            consistent=self._audited(stack, told),
        )

    def load(self, stack: Mapping[str, str], number: int, seconds: int, folder: Path) -> tuple[ClientObservation, ...]:
        """Locust; the same orders arrive at the same times in this run of every mode. What its clients were told."""
        folder.mkdir(parents=True, exist_ok=True)
        plan = self.plan
        values = {"RATE": f"{plan.rate:g}", "DURATION": str(seconds), "MIX": KIND, "SEED": str(plan.seed + number)}
        log = folder / "locust.log"
        status = locust(settings(values), stack, folder, log)
        if status not in (0, 1):
            raise StackError(f"Locust ended with status {status}; see {log}")
        return read_history(folder / HISTORY)

    def _audited(self, stack: Mapping[str, str], told: tuple[ClientObservation, ...]) -> bool:
        report = audit(Target.from_environment(stack), AuditOptions(history=told))
        if not report.consistent:
            show(report, self.console)
        return report.consistent


def seen(folder: Path, duration: int) -> Seen:
    """What became of the orders of a run, as their clients saw it."""
    found = figures(folder / FILE).get(KIND)
    if found is None:
        return Seen(0, 0, 0.0, 0.0, 0.0, 0.0)
    rate = round((found.orders - found.failed) / duration, 3)
    return Seen(found.orders, found.failed, rate, found.p50, found.p95, found.p99)


def until_drained(target: Target, watch: Clock) -> tuple[Reading, bool]:
    """CPU up to right before the first of the looks that found nothing in flight; and whether there was such a look.

    A look connects to four databases, which costs as much as some orders: those that end the wait are not counted.
    """
    readings = [watch.read()]

    def looked(found: InFlight) -> None:
        if found:
            readings.append(watch.read())

    left = asyncio.run(drain(target.databases, DRAIN, looked))
    return readings[-1], not left

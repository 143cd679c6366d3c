"""One run of one mode: stack up, warm-up, idle, load, drain, audit, with measurements between them."""

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
from loadtests.bench.measure import Reading, Stopwatch, counters, equal_settings, postgresql
from loadtests.bench.plan import BenchPlan, Turn, stack_settings
from loadtests.bench.record import Run
from loadtests.bench.sights import seen
from loadtests.history import FILE as HISTORY
from loadtests.run import locust, settings
from quartet_stack import api
from quartet_stack.errors import StackError

DRAIN: Final = 60.0
KIND: Final = "good"
LONGER: Final = 1
"""Seconds that the load lasts beyond the window: the window begins at the first order, which comes a little later."""


class Clock(Protocol):
    """Reads CPU time, as a Stopwatch does."""

    def read(self) -> Reading:
        """Read the CPU time that each program has used so far."""


@dataclass(frozen=True)
class Bench:
    """What all runs have in common. `say` is called with each step."""

    plan: BenchPlan
    environ: Mapping[str, str]
    console: Console
    say: Callable[[str], None] = lambda what: None

    @property
    def stack_dir(self) -> str:
        """The folder of the bench's own stack."""
        return stack_settings(self.plan, self.environ)["STACK_DIR"]

    def up(self, mode: str) -> dict[str, str]:
        """Bring up the bench's own stack in that mode, with the data of earlier runs; returns its environment."""
        return api.up(mode, env=stack_settings(self.plan, self.environ))

    def postgresql(self) -> str:
        """The version of the running stack's database server."""
        return postgresql(api.stack_environment(self.stack_dir))

    def clean(self) -> None:
        """Stop the bench's own stack and delete its data."""
        api.down(self.stack_dir, delete_data=True)

    def run(self, turn: Turn, target: Path) -> Run:
        """Measure a run; a StackError, or an error of `counters`, means that nothing was measured.

        Args:
            turn: Which run.
            target: The folder for Locust's reports and the history.
        """
        plan = self.plan
        self.say("starting")
        stack = self.up(turn.mode)
        watch = Stopwatch(self.stack_dir)
        observations: tuple[ClientObservation, ...] = ()
        if plan.warmup:
            self.say("warming up")
            observations = self.load(stack, turn, plan.warmup, target / "warm-up")
        self.say("measuring it idle")
        first = watch.read()
        time.sleep(plan.idle)  # the interval is what is measured
        idle = watch.read() - first
        before = counters(stack)
        machine = watch.machine()
        began = watch.read()
        self.say(f"{turn.rate:g} orders/s for {plan.settle + plan.duration:g} s")
        observations += self.load(stack, turn, plan.settle + plan.duration + LONGER, target)
        disturbance = watch.machine().since(machine)
        self.say("draining")
        ended, drained = until_drained(Target.from_environment(stack), watch)
        after = counters(stack)
        self.say("auditing")
        return Run(
            mode=turn.mode,
            number=turn.number,
            offered=turn.rate,
            orders=after.completed - before.completed,
            seen=seen(target / HISTORY, plan.settle, plan.duration),
            idle=idle,
            load=ended - began,
            doors={name: door - before.doors[name] for name, door in after.doors.items()},
            logs={name: log - before.logs[name] for name, log in after.logs.items()},
            drained=drained,
            consistent=self._audited(stack, observations),
            disturbance=disturbance,
            settings=equal_settings(stack),
        )

    def load(self, stack: Mapping[str, str], turn: Turn, seconds: int, folder: Path) -> tuple[ClientObservation, ...]:
        """Run Locust; returns what its clients were told.

        In runs of the same number and rate the same orders arrive at the same times in every mode.

        Raises:
            StackError: Locust could not run.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HISTORY).unlink(missing_ok=True)  # of a bench that ended within this run
        seed = str(self.plan.seed + turn.number)
        values = {"RATE": f"{turn.rate:g}", "DURATION": str(seconds), "MIX": KIND, "SEED": seed}
        log = folder / "locust.log"
        status = locust(settings(values), stack, folder, log)
        if status not in (0, 1):
            raise StackError(f"Locust ended with status {status}; see {log}")
        return read_history(folder / HISTORY)

    def _audited(self, stack: Mapping[str, str], observations: tuple[ClientObservation, ...]) -> bool:
        report = audit(Target.from_environment(stack), AuditOptions(history=observations))
        if not report.consistent:
            show(report, self.console)
        return report.consistent


def until_drained(target: Target, watch: Clock) -> tuple[Reading, bool]:
    """Wait until no order is in flight; returns the CPU used so far, and whether the stack has drained within DRAIN.

    Each check connects to four databases, which costs as much CPU as some orders: the last check is not counted.
    """
    readings = [watch.read()]

    def looked(in_flight: InFlight) -> None:
        if in_flight:
            readings.append(watch.read())

    left = asyncio.run(drain(target.databases, DRAIN, looked))
    return readings[-1], not left

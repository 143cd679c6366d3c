"""How each part of a bench is measured: a function for each, which makes one run."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

import uvloop

from checkout_audit.target import Target
from loadtests.bench.backlog import one_order, place
from loadtests.bench.checks import CHANCE
from loadtests.bench.measure import Stopwatch
from loadtests.bench.parts import (
    BACKLOG,
    BACKLOG_SECONDS,
    COLD_START,
    DEAD,
    DEAD_AFTER,
    DEAD_FOR,
    DEAD_SERVICE,
    DRAINING,
    FLOOR,
    PARTS,
    PEER,
    PLACING,
    SATURATION,
    part,
)
from loadtests.bench.peers import pgbench
from loadtests.bench.peers.measure import measured as peer
from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import Door, Log, Run, Step
from loadtests.bench.run import Bench, Load, stopped, until_drained
from loadtests.bench.search import search
from loadtests.bench.sights import Sight, sights
from loadtests.bench.turns import Turn
from loadtests.history import FILE as HISTORY
from loadtests.history import read_lines
from quartet_stack import api
from quartet_stack.settings import SERVICES

COLD: Final = Load(1.0, 0, 1, "good")
PARTICIPANTS: Final = tuple(name for name in SERVICES if name != "order")
NORMAL: Final = 3.0
"""An order is normal if it took at most so many times as long as the median before the fault."""
LEAST_NORMAL: Final = 100.0
"""Milliseconds in which an order is normal in any case."""
Probe = Callable[[Bench, Turn, Path], Run]


def steady(bench: Bench, turn: Turn, target: Path) -> Run:
    """A load at a given rate."""
    bench.begin(turn, target)
    load = Load(turn.rate, bench.plan.settle, bench.plan.duration, part(turn.part).mix)
    return bench.audited(bench.measured(turn, load, target))


def cold_start(bench: Bench, turn: Turn, target: Path) -> Run:
    """Start the stopped stack, whose databases exist, and wait for the first order that completes."""
    bench.begin(turn, target, warm=False)  # its databases are made, and its programs are in the page cache
    api.down(bench.stack_dir)
    began = time.monotonic()
    bench.say("starting it from nothing")
    bench.visit.stack = bench.up(turn.mode)
    ready = time.monotonic() - began
    one_order(bench.visit.stack)
    first = time.monotonic() - began
    run = bench.audited(bench.measured(turn, COLD, target))
    bench.visit.mode = ""  # what comes next warms it up again
    return replace(run, figures={"ready_seconds": round(ready, 2), "first_order_seconds": round(first, 2)})


def dead_service(bench: Bench, turn: Turn, target: Path) -> Run:
    """A load during which a service is dead for DEAD_FOR seconds, and how long it takes until orders are normal."""
    bench.begin(turn, target)
    plan = bench.plan
    load = Load(turn.rate, plan.settle, max(plan.duration, DEAD_AFTER + 2 * DEAD_FOR), "good")
    with ThreadPoolExecutor(1, thread_name_prefix="dead service") as threads:
        fault = threads.submit(_dead_for_a_while, bench, plan.settle + DEAD_AFTER)
        run = bench.measured(turn, load, target, without=(DEAD,))
        died, back = fault.result()
    recovery = recovered(sights(read_lines(target / HISTORY)), died, back)
    return replace(bench.audited(run), figures={"recovery_seconds": round(recovery, 2)})


def _dead_for_a_while(bench: Bench, after: float) -> tuple[float, float]:
    """Stop the service for a while; returns when it began to stop and when it was started again."""
    time.sleep(after)  # the schedule of the fault
    died = time.monotonic()
    with stopped((DEAD,), bench.stack_dir):
        time.sleep(max(DEAD_FOR - (time.monotonic() - died), 0))
        return died, time.monotonic()


def recovered(orders: Sequence[Sight], died: float, back: float) -> float:
    """Seconds from `back` until the last order ended that the fault made slower than normal; 0 if none was. Pure."""
    before = [order.ms for order in orders if order.at + order.ms / 1000 < died]
    normal = max(NORMAL * median(before), LEAST_NORMAL) if before else LEAST_NORMAL
    slow = [order.at + order.ms / 1000 for order in orders if order.at + order.ms / 1000 >= died and order.ms > normal]
    return max([0.0, *(end - back for end in slow)])


def saturation(bench: Bench, turn: Turn, target: Path) -> Run:
    """Find the highest rate that holds: p99 under the objective, every order completed, drained, and audited."""
    bench.begin(turn, target)
    plan = bench.plan

    def measure(rate: float) -> Run:
        return bench.measured(turn, Load(rate, 1, plan.step, "good"), target / f"{rate:g}")

    made = search(measure, lambda run: holds(run, plan))
    best = max((run for run, held in made if held), key=lambda run: run.offered, default=made[-1][0])
    rate = bench.visit.holds = best.offered if holds(best, plan) else 0.0
    steps = tuple(Step(run.offered, run.seen, held) for run, held in sorted(made, key=lambda one: one[0].offered))
    drained = all(run.drained for run, _ in made)
    return bench.audited(replace(best, steps=steps, drained=drained, figures={"saturation": rate}))


def holds(run: Run, plan: BenchPlan) -> bool:
    """Whether the system kept up with the rate of a step. Pure."""
    expected = run.offered * plan.step
    arrived = run.seen.placed >= max(expected - CHANCE * expected**0.5, 1)
    return arrived and run.drained and not run.seen.failed and not run.seen.timed_out and run.seen.p99 <= plan.objective


def backlog(bench: Bench, turn: Turn, target: Path) -> Run:
    """Place orders while no participant runs, and measure how fast they are done when all run again."""
    bench.begin(turn, target)
    stack, orders = bench.visit.stack, bench.plan.backlog
    if bench.visit.holds:
        orders = min(orders, round(bench.visit.holds * BACKLOG_SECONDS))
    with stopped(PARTICIPANTS, bench.stack_dir):
        bench.say(f"placing {orders} orders")
        placed = uvloop.run(place(stack, orders, PLACING))
    began = time.monotonic()
    bench.say(f"draining {placed} orders")
    watch = Stopwatch(bench.stack_dir)
    first = watch.read()
    last, drained = until_drained(Target.from_environment(stack), watch, DRAINING)
    run = bench.measured(turn, Load(bench.plan.middle, 0, 2, "good"), target)  # it works as before
    seconds = last.at - began
    figures: Mapping[str, float] = {
        "backlog_orders": placed,
        "drain_seconds": round(seconds, 1),
        "drained_per_second": round(placed / seconds, 1),
    }
    # the counters of services that are starting cannot be read
    doors, databases = dict.fromkeys(run.doors, Door(0, 0, 0.0, 0, 0)), dict.fromkeys(run.logs, Log(0, 0))
    drain = replace(run, load=last - first, orders=placed, drained=drained, figures=figures)
    return bench.audited(replace(drain, doors=doors, logs=databases))


PROBES: Final[Mapping[str, Probe]] = {
    **dict.fromkeys(PARTS, steady),
    COLD_START: cold_start,
    DEAD_SERVICE: dead_service,
    SATURATION: saturation,
    BACKLOG: backlog,
    PEER: peer,
    FLOOR: pgbench.measured,
}


def probe(bench: Bench, turn: Turn, target: Path) -> Run:
    """Measure a run; a StackError, or an error of `counters`, means that nothing was measured.

    Args:
        bench: What all runs have in common.
        turn: Which run.
        target: The folder for Locust's reports and the history.
    """
    return PROBES[turn.part](bench, turn, target)

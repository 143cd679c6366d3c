"""One run in one mode: stack up, load and faults, heal, drain, audit, checks, journal."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from checkout_audit.audit import AuditOptions, examine
from checkout_audit.clients import BadHistory, read_history
from checkout_audit.errors import Unreachable
from checkout_audit.target import Target
from loadtests import readiness
from loadtests.history import FILE as HISTORY
from loadtests.history import appending, read_lines
from quartet_stack import api
from quartet_stack.settings import stack_environment
from tests.chaos import journal, schedule, usage
from tests.chaos.checks import CALM, CHECKS, ENOUGH
from tests.chaos.evidence import Evidence, OrderRow, Phases, orders_since, slowest
from tests.chaos.experiment import Experiment
from tests.chaos.faults import load as load_fault
from tests.chaos.faults.messages import account_for_poison
from tests.chaos.load import shopping
from tests.chaos.model import Check, Fault
from tests.chaos.nemesis import Nemesis
from tests.chaos.schedule import Planned
from tests.chaos.settings import STACK, Settings
from tests.chaos.stack import StackUnderTest
from tests.chaos.view import Tail, View

GOOD: Final = 0.78
"""The share of good orders in the mix: there must be enough of them before and after the faults to compare."""

BEFORE: Final = 6.0
AFTER: Final = 15.0
"""Seconds without a fault at least, at first and in the end."""

WARM_UP: Final = 2.5
"""Seconds until the first orders of the load have ended, so that their throughput can be measured."""

LIMIT: Final = 420.0
"""Seconds that a run may take beyond the load that was asked for: 8 minutes in all, unless more load is asked for."""

AUDIT_WITHIN: Final = 240.0
DRAINS_WITHIN: Final = 60.0
PROBLEM: Final = "problem.txt"
POISONED: Final = "poisoned"


@dataclass(frozen=True, slots=True)
class Trial:
    """What is run in one mode; `rate` in orders a second, `duration` in seconds of load at least."""

    settings: Settings
    experiment: Experiment
    mode: str
    folder: Path
    rate: float
    duration: float
    mix: str = "all"

    @property
    def before(self) -> float:
        """Seconds of load before the first fault: enough to measure the throughput."""
        return max(BEFORE, WARM_UP + 1.5 * ENOUGH / (GOOD * self.rate))

    @property
    def after(self) -> float:
        """Seconds of load after the last fault."""
        return max(AFTER, CALM + 1.5 * ENOUGH / (GOOD * self.rate))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a trial: the checks of its experiment, and the journal."""

    mode: str
    checks: Sequence[Check]
    journal: Mapping[str, Any]
    problem: str = ""


async def run(trial: Trial, view: View) -> Outcome:
    """Run a trial and write its journal, also when it is interrupted or fails."""
    trial.folder.mkdir(parents=True, exist_ok=True)
    began, settings = time.time(), trial.settings
    load = {"rate": trial.rate, "duration": trial.duration, "mix": trial.mix, "replicas": settings.replicas}
    about = journal.About(
        trial.mode, settings.seed, settings.command(trial.mode), {**load, "stack": dict(settings.environment)}, began
    )
    evidence: Evidence | None = None
    worst: list[Any] = []
    problem = "interrupted"
    try:
        actions = (*trial.experiment.method, *trial.experiment.rollbacks)
        faults = {action.fault: load_fault(action.fault) for action in actions}
        view.enter("the stack comes up")
        async with asyncio.timeout(LIMIT + trial.duration), opened(trial, faults) as stack:
            evidence, worst = await _examined(trial, stack, faults, view)
        problem = ""
    except Exception as error:  # whatever it is, the journal is written
        problem = f"{type(error).__name__}: {error}"
        (trial.folder / PROBLEM).write_text("".join(traceback.format_exception(error)))
    finally:
        checks = [CHECKS[name](evidence) for name in trial.experiment.checks] if evidence else []
        document = journal.journal(
            about, trial.experiment, evidence, checks, ended=time.time(), worst=worst, problem=problem
        )
        journal.write(trial.folder, document)
    return Outcome(trial.mode, checks, document, problem)


@asynccontextmanager
async def opened(trial: Trial, faults: Mapping[str, Fault]) -> AsyncIterator[StackUnderTest]:
    """Open the stack of a trial: the running one that was named, or one of its own, deleted afterwards."""
    settings, mode = trial.settings, trial.mode
    if settings.running:
        recorded = stack_environment(settings.running)
        stack = StackUnderTest(recorded["COORDINATION_MODE"], settings.running, recorded, settings=recorded)
        if mode != stack.mode:
            await stack.change(mode=mode)
        yield stack
        return
    required = dict(settings.environment)
    required |= {"TOXICS": "on"} if any(fault.kind == "network" for fault in faults.values()) else {}
    required |= {"DB_STANDBY": "order"} if "promote" in faults else {}
    stack = StackUnderTest(mode, settings.home, {}, port_offset=settings.port_offset, settings=required)
    try:
        await asyncio.to_thread(api.down, settings.home, True)
        await stack.change()
        yield stack
    finally:
        await asyncio.shield(asyncio.to_thread(api.down, settings.home, True))


async def _examined(
    trial: Trial, stack: StackUnderTest, faults: Mapping[str, Fault], view: View
) -> tuple[Evidence, list[Any]]:
    """Load, break, drain and audit the stack; returns the evidence and the slowest orders."""
    samples: list[usage.Sample] = []
    view.tail = Tail(trial.folder / HISTORY)
    with appending(trial.folder / HISTORY, "chaos") as history:
        nemesis = Nemesis(stack, faults, trial.settings.seed, (history, view))
        async with beside(
            readiness.watch(readiness.urls(stack.environment), history),
            usage.watch(stack, samples),
            view.follow(),
        ):
            phases = await _load(trial, stack, nemesis, view)
            view.enter("load has ended: drain and audit")
            if POISONED in faults:
                await account_for_poison(stack, phases.load_began)
            audit, error = await _audit(trial, stack)
            before = usage.last(one for one in samples if one.at <= phases.faults_began)
            samples += await usage.calm(stack, before)
    orders = await _orders(stack, phases)
    evidence = Evidence(
        phases,
        trial.experiment.faults,
        nemesis.injections,
        read_lines(trial.folder / HISTORY),
        orders,
        samples,
        audit,
        error,
        nemesis.missing,
        trial.settings.replicas,
        float(stack.settings.get("SAGA_DEADLINE", STACK["SAGA_DEADLINE"])),
    )
    return evidence, await slowest(stack, orders)


async def _load(trial: Trial, stack: StackUnderTest, nemesis: Nemesis, view: View) -> Phases:
    """Load the stack first without faults, then with faults, then without faults again."""
    planned = plan(trial, nemesis)
    span = schedule.end_of(planned)
    view.say(
        f"{len(planned)} faults in {span:.0f} s, {trial.before + span + trial.after:.0f} s of load"
        f" at {trial.rate:g} orders/s, seed {trial.settings.seed}"
    )
    seconds = trial.before + span + trial.after
    async with shopping(stack.environment, trial.folder, trial.rate, seconds, trial.settings.seed, trial.mix) as load:
        await load.begun()
        load_began = time.time()
        view.enter("load, nothing is broken")
        await asyncio.sleep(trial.before)
        faults_began = time.time()
        view.enter("load and faults")
        await nemesis.run(planned)
        if trial.experiment.drawn and (again := nemesis.unfelt(planned)):
            view.say(f"once more, since nobody felt it: {', '.join(one.fault for one in again)}")
            await nemesis.run(again)
        await nemesis.run(schedule.follow(trial.experiment.rollbacks, nemesis.choices(), random.Random(0)))
        healed = time.time()
        view.enter("load, all is healed")
        await asyncio.sleep(max(trial.after, trial.duration - (healed - load_began)))
        load_ended = time.time()
        await load.end()
    return Phases(load_began, faults_began, healed, load_ended)


def plan(trial: Trial, nemesis: Nemesis) -> list[Planned]:
    """The faults with their times: drawn by seed, or as the method of the experiment says."""
    dice = random.Random(trial.settings.seed)
    choices, method = nemesis.choices(), trial.experiment.method
    if trial.experiment.drawn:
        return schedule.plan(choices, trial.duration - trial.before - trial.after, dice)
    return schedule.follow(method, choices, dice)


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these beside the block, and cancel them after it; RuntimeError if one of them ended by itself."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    if broken := [one for one in ended if not isinstance(one, asyncio.CancelledError)]:
        raise RuntimeError(f"what watches the run ended: {broken[0]!r}")


async def _audit(trial: Trial, stack: StackUnderTest) -> tuple[Mapping[str, Any] | None, str]:
    """The auditor's report, or why there is none."""
    try:
        question = AuditOptions(read_history(trial.folder / HISTORY), frozenset(stack.accounted))
        async with asyncio.timeout(AUDIT_WITHIN):
            report = await examine(Target.from_environment(stack.environment), question, DRAINS_WITHIN)
        return report.document(), ""
    except (Unreachable, BadHistory, TimeoutError) as error:
        return None, f"{type(error).__name__}: {error}"


async def _orders(stack: StackUnderTest, phases: Phases) -> list[OrderRow]:
    """The orders of the run; none if their database does not answer, which other checks report."""
    try:
        return await orders_since(stack, phases.load_began)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return []

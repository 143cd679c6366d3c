"""Makes the runs of a bench that are left, one after the other, tells how far it is, and goes on if one breaks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import asyncpg
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from checkout_audit.errors import Unreachable
from loadtests.bench.disturbance import attempts
from loadtests.bench.machine import UNKNOWN, machine
from loadtests.bench.money import Prices
from loadtests.bench.peers import measure as peers
from loadtests.bench.peers import pgbench
from loadtests.bench.peers.names import FLOORS, PEERS
from loadtests.bench.plan import BenchPlan
from loadtests.bench.probes import probe
from loadtests.bench.record import Record, Run
from loadtests.bench.run import Bench
from loadtests.bench.series import Series
from loadtests.bench.turns import Turn
from quartet_stack import api
from quartet_stack.errors import StackError

BROKEN: Final = (StackError, Unreachable, httpx.HTTPError, asyncpg.PostgresError, OSError)
TRIES: Final = 2
"""How often a run that breaks is tried, each time on a new stack. The bench then goes on without it."""
BROKEN_MOST: Final = 3
"""If so many runs break one after the other, the bench ends: the cause is not in one of them."""


@dataclass(frozen=True, slots=True)
class Session:
    """What one call of the command works on: `begun` has the runs that are finished; `again` is how to go on."""

    series: Series
    begun: Record
    baseline: Record | None
    prices: Prices
    again: str
    console: Console


def measured(session: Session, bench: Bench) -> Record:
    """Make the runs that are left, and write each; returns the record with all that are finished."""
    console, record = session.console, session.begun
    record = replace(record, missing=missing(session.series.left(replace(record, missing={})), console))
    left, total, broken = session.series.left(record), len(record.turns), 0
    console.print(
        f"{len(left)} of {total} runs to make, {remaining(record.plan, left, 0, 0.0)}; into {session.series.folder}; "
        f"{_limits(record.plan)}",
        markup=False,
        soft_wrap=True,
    )
    with _progress(console) as progress:
        bar = progress.add_task("", total=total, completed=total - len(left), left="")
        started = time.monotonic()
        for done, turn in enumerate(left):
            time_left = remaining(record.plan, left, done, time.monotonic() - started)

            def say(what: str, turn: Turn = turn, time_left: str = time_left) -> None:
                progress.update(bar, description=f"{turn}: {what}", left=time_left)

            made = _made(session, replace(bench, say=say), turn)
            progress.update(bar, advance=1)
            time_left = remaining(record.plan, left, done + 1, time.monotonic() - started)
            broken = 0 if made else broken + 1
            if broken == BROKEN_MOST:
                break
            if made:
                if record.machine.postgresql == UNKNOWN:
                    record = replace(record, machine=machine(bench.postgresql()))
                record = session.series.keep(record, turn, made)
                console.print(f"{len(record.runs)} of {total}: {_line(made[-1])}; {time_left}", markup=False)
    if not record.whole:
        console.print(f"to make the runs that are missing: {session.again}", markup=False, soft_wrap=True)
    return record


def missing(turns: Sequence[Turn], console: Console) -> dict[str, str]:
    """Fetch the components of all modes and peers in these runs; says of each that lacks one which that is."""
    found: dict[str, str] = {}
    for name in sorted({turn.mode for turn in turns}):
        with console.status(f"fetching what {name} needs"):
            try:
                _fetch(name)
            except StackError as error:
                found[name] = " ".join(str(error).split())
                console.print(f"{name} is left out: {found[name]}", markup=False, soft_wrap=True)
    return found


def _fetch(name: str) -> None:
    (peers.fetch if name in PEERS else api.fetch)(name, lambda what: None)
    if name in FLOORS:
        pgbench.check()


def remaining(chosen: BenchPlan, turns: Sequence[Turn], done: int, elapsed: float) -> str:
    """Estimate how long the rest of these runs takes, from the settings and how long the first `done` took."""
    if done == len(turns):
        return "none left"
    slower = elapsed / chosen.estimate(turns[:done]) if done else 1.0
    return f"about {max(round(chosen.estimate(turns[done:]) * slower / 60), 1)} min left"


def _made(session: Session, bench: Bench, turn: Turn) -> tuple[Run, ...]:
    """All attempts at a run; none if it breaks each time."""

    def measure(number: int) -> Run:
        return probe(bench, turn, session.series.target(turn) / f"attempt-{number}")

    def discard(why: str) -> None:
        session.console.print(f"{turn}: {why}: it is repeated", markup=False)

    for tried in range(1, TRIES + 1):
        try:
            return attempts(measure, bench.plan, discard)
        except BROKEN as error:
            then = "it is tried again on a new stack" if tried < TRIES else "the bench goes on without it"
            session.console.print(f"{turn} broke, {then}: {error}", markup=False, soft_wrap=True)
            bench.clean()
            bench.visit.number = 0
    return ()


def _line(run: Run) -> str:
    verdict = "the audit is clean" if run.consistent else "THE AUDIT IS NOT CLEAN"
    if not run.drained:
        verdict = f"NOT DRAINED, {verdict}"
    if run.seen.failed or run.seen.timed_out:
        verdict = f"{run.seen.failed} ORDERS FAILED, {run.seen.timed_out} TIMED OUT, {verdict}"
    times = f"p50 {run.seen.p50:.0f} ms, p99 {run.seen.p99:.0f} ms"
    more = "".join(f", {name.replace('_', ' ')} {value:g}" for name, value in run.figures.items())
    return f"{run}: {run.orders} orders, {times}{more}; {verdict}"


def _limits(chosen: BenchPlan) -> str:
    return (
        f"a run is repeated if the host takes more than {chosen.steal_max:g} % "
        f"of the CPU or other programs use more than {chosen.foreign_max:g} %"
    )


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, TextColumn("{task.fields[left]}"), console=console, disable=not console.is_terminal)

"""What a disturbance costs unrelated orders: interleaved runs with and without it, on a stack of its own.

python -m tests.chaos.pairs [MODES=kafka,... PAIRS=7 RATE=10 SEED=1 in the environment]

Each round has three runs under the same arrivals, in an order drawn by seed: quiet; `poison`, a hundred messages that
nobody can handle, in 8 s; `rows`, ten rows locked for 20 s. Every order of the load must end as its kind must, in
every run, and the audit must be clean, except for the poison's dead letters. For each mode it prints the median of the
runs' 95th percentiles. Exit status 1 if an order ended wrongly, the audit is not clean, or a bound is missed: poison
may cost 25 % (plus 5 ms of noise), rows 1 s. Figures go to `reports/pairs-<time>/figures.json`.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from checkout_audit.audit import AuditOptions, audit
from checkout_audit.clients import read_history
from checkout_audit.target import Target
from loadtests.history import FILE as HISTORY
from loadtests.outcomes import FILE, figures
from loadtests.run import locust, settings
from quartet_stack import api
from sagakit.modes import MODES, resolve
from tests.chaos.locks import Affected, hold
from tests.chaos.poison import poison
from tests.chaos.settings import ALL, modes_of, whole

SECONDS: Final = {"quiet": 10, "poison": 10, "rows": 22}  # of load
HELD: Final = 20.0
POISONS: Final = 100
ROWS: Final = 10
RATES: Final = {"kafka": 10.0, "pubsub": 10.0, "sns_sqs": 6.0, "temporal": 2.0}
POISON_MAY_COST: Final = 1.25
NOISE_MS: Final = 5.0
ROWS_MAY_COST_MS: Final = 1000.0
STACK: Final = {"STACK_DIR": ".stack/pairs", "PORT_OFFSET": "15000", "STACK": "native", "PROVIDERS": "instant"}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one mode: over the orders of the load, `p95` in ms and the number of `wrong` ends."""

    mode: str
    kind: str
    round: int
    orders: int
    wrong: int
    p95: float
    consistent: bool
    affected: Mapping[str, str]


def main() -> int:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    try:
        modes = modes_of(os.environ.get("MODES") or ALL)
        rounds, seed = whole(os.environ, "PAIRS", 7, 1, 1000), whole(os.environ, "SEED", 1, 0, 2**32)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    folder = Path("reports") / f"pairs-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True)
    runs: list[Run] = []
    api.down(STACK["STACK_DIR"], delete_data=True)
    try:
        with Progress(console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("", total=len(modes) * rounds * len(SECONDS))
            for mode in modes:
                stack = api.up(mode, env=STACK)
                load(stack, "quiet", 0, folder / mode / "warm-up")
                for number in range(1, rounds + 1):
                    for kind in random.Random(f"{seed} {mode} {number}").sample(list(SECONDS), len(SECONDS)):
                        progress.update(bar, description=f"{mode}: {kind}, round {number}")
                        run = measure(stack, mode, kind, number, folder / mode / f"{number}-{kind}")
                        runs.append(run)
                        progress.advance(bar)
                        console.print(_line(run), markup=False)
                        (folder / "figures.json").write_text(json.dumps([asdict(one) for one in runs], indent=1))
    finally:
        api.down(STACK["STACK_DIR"], delete_data=True)
    return 0 if judge(runs, console) else 1


def measure(stack: Mapping[str, str], mode: str, kind: str, number: int, folder: Path) -> Run:
    """Run the load with the disturbance beside it, drain, and audit."""
    disturb: dict[str, Callable[[], Affected | None]] = {
        "quiet": lambda: None,
        "poison": lambda: asyncio.run(poison(stack, mode, POISONS, SECONDS["poison"] - 2)),
        "rows": lambda: asyncio.run(hold(stack, HELD)),
    }
    with ThreadPoolExecutor(1) as beside:
        disturbed = beside.submit(disturb[kind])
        load(stack, kind, number, folder)
        affected = disturbed.result()
    by_kind = figures(folder / FILE).values()
    report = audit(
        Target.from_environment(stack),
        AuditOptions(history=read_history(folder / HISTORY), accounted=asyncio.run(letters(stack))),
    )
    if not report.consistent:
        (folder / "violations.txt").write_text(
            "\n".join(
                f"{one.invariant.number}: {v.subject}: {v.what}" for one in report.findings for v in one.violations
            )
        )
    ends = affected.orders if affected else {}
    rows = affected.rows if affected else ROWS
    return Run(
        mode,
        kind,
        number,
        orders=sum(one.orders for one in by_kind),
        wrong=sum(one.failed for one in by_kind),
        p95=max(one.p95 for one in by_kind),
        consistent=report.consistent and rows == ROWS,
        affected=ends,
    )


def load(stack: Mapping[str, str], kind: str, number: int, folder: Path) -> None:
    """Run the load, of good orders only: their times are compared."""
    folder.mkdir(parents=True)
    rate = os.environ.get("RATE") or str(RATES[MODES[resolve(stack["COORDINATION_MODE"])].substrate])
    values = {"RATE": rate, "DURATION": str(SECONDS[kind]), "MIX": "good", "SEED": str(number)}
    locust(settings(values), stack, folder, folder / "locust.log")


async def letters(stack: Mapping[str, str]) -> frozenset[str]:
    """The ids of the open dead letters of all services."""
    ids: set[str] = set()
    for service in ("order", "payment", "inventory", "shipping"):
        session = await asyncpg.connect(stack[f"{service.upper()}_DATABASE_URL"].replace("+asyncpg", "", 1))
        try:
            ids |= {row["id"] for row in await session.fetch("SELECT id FROM dead_letter WHERE resolved_at IS NULL")}
        finally:
            await session.close()
    return frozenset(ids)


def judge(runs: list[Run], console: Console) -> bool:
    """Print the medians; returns whether no order ended wrongly, all audits are clean and both bounds are kept."""
    p95: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        p95[run.mode, run.kind].append(run.p95)
    table = Table("mode", "rounds", "quiet p95 ms", "poison p95 ms", "ratio", "rows p95 ms", "more ms", "holds")
    fine = bool(runs) and all(run.consistent and run.orders and not run.wrong for run in runs)
    for mode in dict.fromkeys(run.mode for run in runs):
        quiet, poisoned, locked = (median(p95[mode, kind]) for kind in SECONDS)
        holds = poisoned <= quiet * POISON_MAY_COST + NOISE_MS and locked - quiet <= ROWS_MAY_COST_MS
        fine = fine and holds
        numbers = (
            f"{quiet:.0f}",
            f"{poisoned:.0f}",
            f"{poisoned / quiet:.2f}",
            f"{locked:.0f}",
            f"{locked - quiet:.0f}",
        )
        table.add_row(mode, str(len(p95[mode, "quiet"])), *numbers, "yes" if holds else "NO")
    console.print(table)
    return fine


def _line(run: Run) -> str:
    verdict = "the audit is clean" if run.consistent else "THE AUDIT IS NOT CLEAN"
    behind = f"; behind the locks: {', '.join(run.affected.values())}" if run.affected else ""
    wrong = f"{run.wrong} WRONG, " if run.wrong else ""
    return f"{run.mode} {run.round} {run.kind}: {run.orders} orders, {wrong}p95 {run.p95:.0f} ms, {verdict}{behind}"


if __name__ == "__main__":
    sys.exit(main())

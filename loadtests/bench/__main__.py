"""`make bench`: every mode in turns under the same load, on a stack of its own; a table, report.md and raw.json.

Exit status 0 if every order completed and every audit is clean, 1 if not or if the bench had to stop, 2 for a wrong
setting. Settings: MODES (all), RUNS (3 of each), RATE (5 orders/s), DURATION (20 s), WARMUP (5 s), IDLE (5 s),
PROVIDERS (instant), SEED (1); BENCH_STACK_DIR, BENCH_PORT_OFFSET.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import asyncpg
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from checkout_audit.errors import Unreachable
from loadtests.bench.machine import commit, machine
from loadtests.bench.plan import BenchPlan, plan
from loadtests.bench.record import VERSION, Record, Run, write
from loadtests.bench.report import page, tables
from loadtests.bench.run import Bench
from quartet_stack.errors import StackError
from quartet_stack.layout import layout, locked

REPORTS: Final = Path("reports")
BROKEN: Final = (StackError, Unreachable, httpx.HTTPError, asyncpg.PostgresError, OSError)


def main() -> int:
    """Run the whole bench on a stack of its own, which is deleted afterwards; returns the exit status."""
    try:
        chosen = plan(os.environ)
    except (ValueError, StackError) as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminated)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    folder = REPORTS / f"bench-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True)
    bench = Bench(chosen, os.environ, folder, console)
    with locked(layout({"STACK_DIR": bench.stack_dir}).root / "bench.lock", "another bench"), _own_stack(bench):
        fine = _measured(bench, console)
    return 0 if fine else 1


def _measured(bench: Bench, console: Console) -> bool:
    """Do all runs and write the record after each; returns whether every order completed and every audit is clean."""
    chosen, raw = bench.plan, bench.folder / "raw.json"
    began, total = datetime.now(UTC).isoformat(timespec="seconds"), len(chosen.modes) * chosen.runs
    record: Record | None = None
    finished = True
    with _progress(console) as progress:
        bar = progress.add_task("", total=total, left="")
        started = time.monotonic()
        for done, (number, mode) in enumerate(chosen.turns()):
            left = _left(chosen, done, total, time.monotonic() - started)

            def say(what: str, mode: str = mode, left: str = left) -> None:
                progress.update(bar, description=f"{mode}: {what}", left=left)

            try:
                run = replace(bench, say=say).run(mode, number)
                if record is None:
                    record = Record(VERSION, began, commit(), machine(bench.postgresql()), chosen, ())
            except BROKEN as error:
                console.print(f"{mode}, run {number}: {error!s}", markup=False)
                finished = False
                break
            record = replace(record, runs=(*record.runs, run))
            write(record, raw)
            progress.update(bar, completed=done + 1)
            console.print(f"{done + 1} of {total}: {_line(run)}", markup=False)
    if record is None:
        return False
    text = page(record)
    (bench.folder / "report.md").write_text(text)
    for table in tables(record):
        console.print(table.drawn())
    console.print(f"report: {bench.folder / 'report.md'}   raw data: {raw}")
    return finished and all(run.fine and run.orders for run in record.runs)


def _line(run: Run) -> str:
    verdict = "the audit is clean" if run.consistent else "THE AUDIT IS NOT CLEAN"
    if not run.drained:
        verdict = f"NOT DRAINED, {verdict}"
    if run.seen.failed:
        verdict = f"{run.seen.failed} ORDERS DID NOT COMPLETE, {verdict}"
    times = f"p50 {run.seen.p50:.0f} ms, p99 {run.seen.p99:.0f} ms"
    return f"{run.mode}, run {run.number}: {run.orders} orders, {times}; {verdict}"


def _left(chosen: BenchPlan, done: int, total: int, elapsed: float) -> str:
    """Estimate how long the rest takes, from the runs so far, or before the first from the settings."""
    each = elapsed / done if done else 20 + chosen.warmup + chosen.idle + chosen.duration
    return f"about {max(round((total - done) * each / 60), 1)} min left"


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, TextColumn("{task.fields[left]}"), console=console, disable=not console.is_terminal)


@contextmanager
def _own_stack(bench: Bench) -> Iterator[None]:
    """Delete the stack and its data before and after the block, also when it is interrupted."""
    bench.clean()
    try:
        yield
    finally:
        bench.clean()


def _terminated(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; the stack of the bench is stopped and its data deleted", file=sys.stderr)
        sys.exit(130)

"""`make bench`: every mode in turns under the same load, on a stack of its own; leaves a report and its raw data.

Exit status 0 if the bench's own checks find nothing: every order completed, every audit is clean, no mode stalls;
1 if not, or if the bench had to stop; 2 for a wrong setting. QUICK=1 (a look) and FULL=1 (5 runs at three rates, all
parts, all peers) change the defaults of MODES (all), RUNS (3 of each), RATE (5 orders/s; several: 5,20), DURATION
(20 s), WARMUP (5 s), SETTLE (2 s), IDLE (5 s), PROVIDERS (instant), SEED (1), STEAL_MAX (2 %), FOREIGN_MAX (10 %),
PARTS (steady; see `parts`), PEERS (none; see `peers.names`), OBJECTIVE (1000 ms) and STEP (6 s) of the search for the
highest rate that holds, BACKLOG (10000 orders). REPORT: the folder; with that of a bench that was interrupted, the same
command goes on with it. BASELINE: the raw.json of an earlier bench, to compare with. KILLS: the kills.jsonl of
`python -m tests.chaos.recovery`, to show. PRICES: a table of prices instead of `prices.json`. BENCH_STACK_DIR,
BENCH_PORT_OFFSET.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final, NoReturn

from rich.console import Console

from loadtests.bench.checks import cells, comparable, findings
from loadtests.bench.files import write_csv
from loadtests.bench.machine import UNKNOWN, commit, machine
from loadtests.bench.money import read_prices
from loadtests.bench.page import FILE as HTML
from loadtests.bench.page import page as html_page
from loadtests.bench.plan import command, plan
from loadtests.bench.record import VERSION, Record
from loadtests.bench.report import page, tables
from loadtests.bench.run import Bench
from loadtests.bench.series import RAW, Series
from loadtests.bench.session import Session, measured
from loadtests.bench.storage import read, read_kills, write
from quartet_stack.errors import StackError
from quartet_stack.layout import layout, locked

REPORTS: Final = Path("reports")
OURS: Final = ("BASELINE", "KILLS", "PRICES", "BENCH_STACK_DIR", "BENCH_PORT_OFFSET")
"""Settings that change nothing about what is measured."""


def main() -> int:
    """Run what is left of the bench on a stack of its own, which is deleted afterwards; returns the exit status."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    try:
        session = _session(os.environ, console)
    except (ValueError, StackError) as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminated)
    session.series.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(session.begun.plan, os.environ, console)
    with locked(layout({"STACK_DIR": bench.stack_dir}).root / "bench.lock", "another bench"), _own_stack(bench):
        record = measured(session, bench)
    return 0 if _reported(session, record) else 1


def _session(environ: Mapping[str, str], console: Console) -> Session:
    """Read the settings and the files that they name."""
    chosen = plan(environ)
    folder = Path(environ.get("REPORT") or REPORTS / f"bench-{time.strftime('%Y%m%d-%H%M%S')}")
    baseline = read(Path(environ["BASELINE"])) if environ.get("BASELINE") else None
    prices = read_prices(Path(environ["PRICES"])) if environ.get("PRICES") else read_prices()
    kills = read_kills(Path(environ["KILLS"])) if environ.get("KILLS") else ()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    series = Series(folder)
    begun = series.record(
        Record(VERSION, began, commit(), command(environ), machine(UNKNOWN), chosen, runs=(), discarded=())
    )
    begun = replace(begun, kills=kills or begun.kills)
    if baseline is not None:
        comparable(baseline, begun)
    again = f"{command(environ, OURS)} REPORT={folder}"
    return Session(series, begun, baseline, prices, again, console)


def _reported(session: Session, record: Record) -> bool:
    """Write the report and print its tables and findings; returns whether nothing was found."""
    console, folder = session.console, session.series.folder
    found = findings(record, session.baseline)
    if record.runs:
        write(record, folder / RAW)  # with the kills, which may have been named only now
        (folder / "report.md").write_text(page(record, found))
        (folder / HTML).write_text(html_page(record, found, session.prices))
        write_csv(record, folder)
        for table in tables(record):
            console.print(table.drawn())
    if session.baseline is not None:
        compared = cells(session.baseline, record)
        overlap = sum(cell.overlap for cell in compared)
        half = median(cell.now.half_width for cell in compared)
        console.print(
            f"the intervals of {overlap} of {len(compared)} figures overlap with those of the baseline; "
            f"the median of their half-widths is {half:.1%} of the figure",
            soft_wrap=True,
        )
    for one in found:
        console.print(f"found: {one}", markup=False, soft_wrap=True)
    console.print(
        f"report: {folder / HTML}   the same as text: {folder / 'report.md'}   raw data: {folder / RAW}", soft_wrap=True
    )
    return not found


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
        print(
            "interrupted; the stack of the bench is stopped and its data deleted; the same command with "
            "REPORT=<the folder of the report> goes on",
            file=sys.stderr,
        )
        sys.exit(130)

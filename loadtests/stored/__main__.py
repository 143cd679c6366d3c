"""`python -m loadtests.stored`: throughput, latency and CPU at different numbers of stored orders, and the auditor.

Each round loads a stack of every size, in an order that turns with the round, so that a machine that becomes slower
slows all of them. It goes on where it was interrupted, by the same command: `REPORT/raw.json` has what was measured.

Settings: SIZES (1000,100000,1000000), PAIRS (7), MODE (kafka), CLIENTS (400), DURATION (10 s), STOP_AFTER (seconds,
after which it stops before the next measurement; none), REPORT (reports/stored), STORED_PORT_OFFSET (14000). `publish`
as an argument copies the data to docs/results and rewrites the section of docs/performance.md; `clean` deletes the
stacks.
Exit status 0 done, 1 an audit was not clean, 2 it could not run, 3 it stopped: the same command goes on.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from loadtests.bench.machine import commit, machine
from loadtests.bench.measure import postgresql
from loadtests.bench.publish import rewritten
from loadtests.fill.tables import Busy
from loadtests.saved import resume
from loadtests.stored.measure import Stored
from loadtests.stored.record import CONTENT, SETTINGS, Record, read
from loadtests.stored.summary import markdown
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY
from sagakit import modes

DEFAULTS: Final = {
    "SIZES": "1000,100000,1000000",
    "PAIRS": "7",
    "MODE": "kafka",
    "CLIENTS": "400",
    "DURATION": "10",
    "STOP_AFTER": "inf",
    "REPORT": "reports/stored",
}
PAGE: Final = REPOSITORY / "docs" / "performance.md"
DATA: Final = REPOSITORY / "docs" / "results" / "stored.json"
COMMAND: Final = "python -m loadtests.stored"

Unit = tuple[str, int, int]
"""What is measured next: an audit or a sample, of a size, in a round."""


def plan(environ: Mapping[str, str]) -> Record:
    """An empty record with the settings.

    Raises:
        ValueError: A setting is wrong; the message names it.
    """
    given = {name: environ.get(name) or otherwise for name, otherwise in DEFAULTS.items()}
    words = " ".join(f"{name}={environ[name]}" for name in DEFAULTS if environ.get(name) and name != "STOP_AFTER")
    try:
        sizes, mode = sorted(int(size) for size in given["SIZES"].split(",")), modes.resolve(given["MODE"])
        found = Record(
            sizes, int(given["PAIRS"]), mode, int(given["CLIENTS"]), float(given["DURATION"]), "", commit(), machine("")
        )
        if min(*sizes, found.pairs, found.clients) < 1 or not found.seconds > 0 or not float(given["STOP_AFTER"]) > 0:
            raise ValueError("not above 0")
    except ValueError as error:
        raise ValueError(f"{words}: expected numbers greater than 0, SIZES several with commas ({error})") from None
    found.command = " ".join(filter(None, (words, COMMAND)))
    return found


def units(record: Record) -> Iterator[Unit]:
    """All that is to be measured, in order: the audits come before loads add to what is stored."""
    for size in record.sizes:
        yield "audit", size, 0
    for number in range(record.pairs):
        turn = number % len(record.sizes)
        for size in (*record.sizes[turn:], *record.sizes[:turn]):
            yield "sample", size, number


def missing(record: Record) -> list[Unit]:
    """What is not measured yet."""
    done = {("audit", one.size, 0) for one in record.audits}
    done |= {("sample", one.size, one.number) for one in record.samples}
    return [unit for unit in units(record) if unit not in done]


def run(record: Record, path: Path, environ: Mapping[str, str]) -> int:
    """Measure what is missing; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no stack is left behind
    until = time.monotonic() + float(environ.get("STOP_AFTER") or "inf")
    stored = Stored(record, environ.get("STORED_STACK_DIR") or ".stack/stored", environ)
    try:
        for unit in missing(record):
            if time.monotonic() > until:
                left = len(missing(record))
                print(f"stopped: {left} of {len(list(units(record)))} measurements are left; the same command goes on")
                return 3
            what, size, number = unit
            print(f"{what} {number + 1} with {size:,} stored orders", flush=True)
            if what == "audit":
                record.audits.append(stored.audit(size))
                print(f"  {record.audits[-1]}", flush=True)
            else:
                record.samples.append(sample := stored.sample(size, number))
                print(f"  {sample.rate:.0f}/s, p50 {sample.p50:.0f} ms, {sample.cpu:.2f} ms CPU", flush=True)
            if not record.machine.postgresql:
                record.machine = machine(postgresql(stored.up(size)))
            record.save(path)
    finally:
        stored.down()
        record.save(path)
    print(markdown(record))
    return 0 if all(audit.consistent for audit in record.audits) else 1


def main(environ: Mapping[str, str], words: Sequence[str]) -> int:
    """Measure, publish or clean up; the exit status."""
    try:
        chosen = plan(environ)
        path = Path(environ.get("REPORT") or DEFAULTS["REPORT"]) / "raw.json"
        if words == ["publish"]:
            page = rewritten(PAGE.read_text(), {"curve": markdown(read(path))}, "stored")
            DATA.write_bytes(path.read_bytes())
            PAGE.write_text(page)
            return 0
        if words == ["clean"]:
            Stored(chosen, environ.get("STORED_STACK_DIR") or ".stack/stored", environ).clean()
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        return run(resume(path, chosen, SETTINGS, CONTENT), path, environ)
    except (ValueError, StackError, Busy, asyncpg.PostgresError, httpx.HTTPError, OSError) as error:
        print(f"{' '.join(str(error).split())}; what was measured is kept: the same command goes on", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))

"""`python -m loadtests.breakdown`: what the CPU time of an order is spent on, and how far each mode is from its floor.

As many clients as the mode needs to be busy each place an order when the last one has ended, for DURATION seconds
after a warm-up: throughput, latency and CPU by process. Then the same once more, with py-spy at the services and
pg_stat_statements in the databases: the kinds of work. Then the audit, and the floors of the same sitting.

Without MODES the running stack is measured; with `MODES=all`, or a list, each mode in turn on a stack of its own. It
goes on where it was interrupted: REPORT/raw.json has what was measured. `publish` as an argument copies the data to
docs/results and rewrites the section of docs/performance.md.

Settings: MODES, CLIENTS (400 over Kafka and Pub/Sub, 200 over SNS/SQS, 50 over Temporal), DURATION (15 s), REPORT
(reports/breakdown); of the stack of its own STACK_DIR (.stack/breakdown) and PORT_OFFSET (19000).
Exit status 0 done; 1 a mode or its floor could not be measured, or orders of it did not complete, or more than 15 % of
its services' CPU has no kind; 2 it could not run.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from rich.console import Console

from loadtests.bench.machine import commit, machine
from loadtests.bench.measure import postgresql
from loadtests.bench.publish import rewritten
from loadtests.breakdown.measure import measured
from loadtests.breakdown.record import CONTENT, SETTINGS, Measured, Record, read
from loadtests.breakdown.shares import MOST_OTHER, other_part
from loadtests.breakdown.summary import inside, markdown, tables
from loadtests.saved import resume
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY
from quartet_stack.settings import PORTS
from sagakit.modes import MODES, resolve

CLIENTS: Final = {"kafka": 400, "pubsub": 400, "sns_sqs": 200, "temporal": 50}
DURATION: Final = "15"
REPORT: Final = "reports/breakdown"
OWN: Final = {"STACK_DIR": ".stack/breakdown", "PORT_OFFSET": "19000", "PROVIDERS": "instant", "REPLICAS": "1"}
PAGE: Final = REPOSITORY / "docs" / "performance.md"
DATA: Final = REPOSITORY / "docs" / "results" / "breakdown.json"
COMMAND: Final = "python -m loadtests.breakdown"
BROKEN: Final = (StackError, asyncpg.PostgresError, httpx.HTTPError, OSError)

console: Final = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def plan(environ: Mapping[str, str]) -> tuple[Record, list[str]]:
    """An empty record with the settings, and the modes to measure; none: the running stack's.

    Raises:
        ValueError: A setting is wrong; the message names it.
    """
    given = {name: environ[name] for name in ("MODES", "CLIENTS", "DURATION") if environ.get(name)}
    names = given.get("MODES", "")
    modes = list(MODES) if names == "all" else [resolve(name) for name in names.split(",") if name]
    clients, seconds = given.get("CLIENTS"), given.get("DURATION", DURATION)
    try:
        wrong = float(seconds) < 1 or (clients is not None and int(clients) < 1)
    except ValueError:
        wrong = True
    if wrong:
        settings = " ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(f"{settings}: expected a number of CLIENTS, and a DURATION of at least 1 s")
    words = " ".join((*(f"{name}={value}" for name, value in given.items()), COMMAND))
    return Record(float(seconds), int(clients) if clients else None, words, commit(), machine("")), modes


def run(record: Record, path: Path, modes: Sequence[str]) -> int:
    """Measure what is missing of these modes, or the running stack; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no stack is left behind
    failed = []
    for mode in modes or [""]:
        if mode and mode in record.modes:
            console.print(f"{mode}: was measured before")
            continue
        try:
            with _own_stack(mode) if mode else _running_stack() as stack:
                mode = stack["COORDINATION_MODE"]
                folder = path.parent / mode
                folder.mkdir(parents=True, exist_ok=True)
                clients = record.clients or CLIENTS[MODES[mode].substrate]
                say = partial(_say, mode)
                record.modes[mode] = one = measured(stack, clients, record.seconds, folder, say)
                record.machine = machine(postgresql(stack))
        except BROKEN as error:
            console.print(f"{mode}: not measured: {error!r}", markup=False, soft_wrap=True)
            failed.append(mode)
            continue
        record.save(path)
        console.print(inside(mode, one).drawn())
    for table in tables(record):
        console.print(table.drawn())
    complaints = [line for mode, one in record.modes.items() for line in complained(mode, one)]
    complaints += [f"not measured: {mode}; the same command goes on" for mode in failed]
    for line in complaints:
        console.print(line, markup=False, soft_wrap=True)
    return 1 if complaints else 0


def complained(mode: str, measured: Measured) -> list[str]:
    """What is wrong with a measurement: too much CPU without a kind, no floor, orders that did not complete. Pure."""
    found = []
    if (part := other_part(measured)) > MOST_OTHER:
        named = ", ".join(_unnamed(measured)) or "threads without samples"
        found.append(
            f"{mode}: {part:.0%} of the services' CPU has no kind, more than {MOST_OTHER:.0%}: name these in "
            f"loadtests/breakdown/kinds.py: {named}"
        )
    floors = {"pgbench": measured.database_floor}
    if MODES[mode].substrate != "kafka":
        floors["its carrier"] = measured.carrier_floor
    found += [f"{mode}: the floor of {name} could not be measured" for name, floor in floors.items() if floor is None]
    if wrong := measured.plain.wrong:
        found.append(f"{mode}: orders that did not complete: {wrong}")
    return found


def _unnamed(measured: Measured) -> list[str]:
    return sorted({name for inside in measured.inside.values() for name in inside.unnamed})


@contextmanager
def _own_stack(mode: str) -> Iterator[Mapping[str, str]]:
    """A new stack in this mode, which is deleted afterwards."""
    settings = {**dict.fromkeys(PORTS, ""), **OWN, "STACK": "native"}
    settings |= {name: os.environ[name] for name in ("STACK_DIR", "PORT_OFFSET") if os.environ.get(name)}
    _say(mode, "starting")
    try:
        yield api.up(mode, env=settings)
    finally:
        api.down(settings["STACK_DIR"], delete_data=True)


@contextmanager
def _running_stack() -> Iterator[Mapping[str, str]]:
    yield api.stack_environment(os.environ.get("STACK_DIR"))


def _say(mode: str, line: str) -> None:
    console.print(f"{mode}: {line}", markup=False)


def _publishable(path: Path) -> Record:
    """The record of stacks of their own.

    Raises:
        ValueError: It was made on a running stack, which may have any settings.
    """
    if "MODES=" not in (record := read(path)).command:
        raise ValueError(f"{path} was made on a running stack; what is published is made with MODES=all")
    return record


def main(environ: Mapping[str, str], words: Sequence[str]) -> int:
    """Measure or publish; the exit status."""
    path = Path(environ.get("REPORT") or REPORT) / "raw.json"
    try:
        if words == ["publish"]:
            page = rewritten(PAGE.read_text(), {"tables": markdown(_publishable(path))}, "breakdown")
            DATA.write_bytes(path.read_bytes())
            PAGE.write_text(page)
            return 0
        chosen, modes = plan(environ)
        path.parent.mkdir(parents=True, exist_ok=True)
        return run(resume(path, chosen, SETTINGS, CONTENT), path, modes)
    except (ValueError, StackError, OSError) as error:
        print(f"{' '.join(str(error).split())}; what was measured is kept", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))

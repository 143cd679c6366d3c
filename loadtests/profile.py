"""`make profile`: where the CPU time of a load goes, in each service and in each database of the native stack.

py-spy samples every service while Locust loads the stack, and pg_stat_statements counts the statements of every
database. `reports/profile-<time>/` then holds a flame graph for each service (`order.svg`) and `statements.md`, the
statements by their total time.

Settings: COORDINATION_MODE (or MODE), RATE, DURATION, MIX and SEED as of `make load`. Exit status 0 if there is a
profile of everything, 1 if something is missing (the output says what), 2 if nothing could be measured.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg
from rich.console import Console

from loadtests.run import invocation, settings
from loadtests.sampling import PY_SPY, failures, samplers
from loadtests.statements import LIBRARY, Statement, counting
from quartet_stack import api
from quartet_stack.errors import StackError

REPORTS: Final = Path("reports")
RATE: Final = "100"  # samples a second
EDGE: Final = 2.0  # seconds at the beginning and the end of the load that are left out
MOST: Final = 25  # statements of each database

console: Final = Console()


def table(statements: Mapping[str, Sequence[Statement]]) -> str:
    """All statements as one page, a table for each database."""
    lines = ["# Statements by total time", ""]
    for service, counted in statements.items():
        lines += [f"## {service}", "", "| s | calls | ms a call | rows | pages dirtied | WAL, KB | statement |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        for one in counted:
            query = " ".join(one.query.split()).replace("|", "\\|")[:300]
            numbers = f"{one.seconds:.3f} | {one.calls} | {one.seconds * 1000 / one.calls:.2f} | {one.rows}"
            lines.append(f"| {numbers} | {one.pages_dirtied} | {one.wal_bytes / 1024:.0f} | `{query}` |")
        lines.append("")
    return "\n".join(lines)


def profile(values: Mapping[str, str], stack: Mapping[str, str], folder: Path) -> bool:
    """Load the running stack and profile it; whether there is a profile of everything."""
    stack_dir = os.environ.get("STACK_DIR")
    databases, unable = counting(stack, stack_dir)
    for name in unable:
        console.print(f"no statements of {name}: its PostgreSQL lacks {LIBRARY} (postgresql-contrib)")
    api.up(stack["COORDINATION_MODE"], stack_dir)  # returns when every service is ready again
    command, environment = invocation(values, stack, folder)
    load = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    time.sleep(EDGE)  # so long a load is begun before anything is sampled
    seconds = max(1.0, float(values["DURATION"]) - 2 * EDGE)
    sampling = samplers(folder, seconds, ("--nonblocking", "-r", RATE), ".svg", stack_dir) if PY_SPY.exists() else []
    if not sampling:
        console.print("no flame graphs: py-spy is missing; make setup-dev installs it")
    load.wait()
    failed = failures(folder, sampling)
    for name, said in failed.items():
        console.print(f"no flame graph of {name}: {said}")
    statements = {one.service: asyncio.run(one.counted(MOST)) for one in databases}
    (folder / "statements.md").write_text(table(statements))
    return bool(sampling) and not failed and not unable


def main() -> int:
    """Bring the stack up in the mode, profile it under load; returns the exit status."""
    try:
        values = settings(os.environ)
        console.print("profile: the stack is brought up")
        stack = api.up(os.environ.get("COORDINATION_MODE"), os.environ.get("STACK_DIR"))
        folder = REPORTS / f"profile-{time.strftime('%Y%m%d-%H%M%S')}"
        folder.mkdir(parents=True, exist_ok=True)
        console.print(f"profile: {stack['COORDINATION_MODE']}, {values['RATE']} orders/s for {values['DURATION']} s")
        complete = profile(values, stack, folder)
    except (ValueError, StackError, OSError, TimeoutError, asyncpg.PostgresError) as error:
        print(f"no profile: {error}", file=sys.stderr)
        return 2
    console.print(f"flame graphs and statements: {folder}/")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from rich.console import Console

from loadtests.run import invocation, settings
from quartet_stack import api
from quartet_stack.errors import StackError
from quartet_stack.layout import layout
from quartet_stack.secrets_store import read
from quartet_stack.settings import SERVICES

REPORTS: Final = Path("reports")
PY_SPY: Final = Path(sys.executable).with_name("py-spy")
RATE: Final = 100  # samples a second
EDGE: Final = 2.0  # seconds at the beginning and the end of the load that are left out
READY: Final = 30.0  # seconds within which a database answers again after its restart
LIBRARY: Final = "pg_stat_statements"
MOST: Final = 25  # statements of each database

STATEMENTS: Final = (
    f"SELECT query, calls, rows, total_exec_time, shared_blks_dirtied, wal_bytes FROM {LIBRARY} "
    "WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1) ORDER BY total_exec_time DESC LIMIT $2"
)

console: Final = Console()


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as pg_stat_statements counted it; `seconds` of execution in all its calls."""

    query: str
    calls: int
    rows: int
    seconds: float
    pages_dirtied: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class Database:
    """The superuser's way into the database of one service."""

    service: str
    port: int
    password: str

    async def connect(self, database: str = "postgres") -> Any:
        """Open a connection; a server that is starting is waited for.

        Raises:
            TimeoutError: It does not answer within READY seconds.
        """
        until = time.monotonic() + READY
        while True:
            try:
                return await asyncpg.connect(
                    host="127.0.0.1", port=self.port, user="postgres", password=self.password, database=database
                )
            except (OSError, asyncpg.PostgresError) as error:
                if time.monotonic() > until:
                    raise TimeoutError(f"the {self.service} database does not answer: {error}") from error
            await asyncio.sleep(0.2)  # a server that starts announces nothing

    async def count(self, stack_dir: str | None) -> bool:
        """Begin to count statements; False if this server has no pg_stat_statements. Restarts it where necessary."""
        connection = await self.connect()
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_available_extensions WHERE name = $1", LIBRARY):
                return False
            loaded = await connection.fetchval("SELECT current_setting('shared_preload_libraries')")
            if LIBRARY not in loaded:
                await connection.execute(f"ALTER SYSTEM SET shared_preload_libraries = '{LIBRARY}'")
        finally:
            await connection.close()
        if LIBRARY not in loaded:
            api.restart(f"{self.service}-db", stack_dir)
        connection = await self.connect()
        try:
            await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {LIBRARY}")
            await connection.execute(f"SELECT {LIBRARY}_reset()")
        finally:
            await connection.close()
        return True

    async def counted(self) -> list[Statement]:
        """The statements so far, the longest first. The server counts no more once it is restarted."""
        connection = await self.connect()
        try:
            rows = await connection.fetch(STATEMENTS, f"{self.service}_service", MOST)
            await connection.execute("ALTER SYSTEM RESET shared_preload_libraries")
        finally:
            await connection.close()
        return [Statement(row[0], row[1], row[2], row[3] / 1000, row[4], int(row[5])) for row in rows]


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


def samplers(folder: Path, seconds: float) -> list[tuple[str, "subprocess.Popen[bytes]"]]:
    """py-spy at every process of the services, for so many seconds; each writes the flame graph of its name."""
    started = []
    for name, pid in api.processes().items():
        if name.partition("-")[0] in SERVICES and not name.endswith(("-db", "-standby")):
            command = [str(PY_SPY), "record", "--nonblocking", "-r", str(RATE), "-d", str(int(seconds))]
            command += ["-o", str(folder / f"{name}.svg"), "-p", str(pid)]
            with (folder / f"{name}.log").open("wb") as log:
                started.append((name, subprocess.Popen(command, stdout=log, stderr=log)))
    return started


def profile(values: Mapping[str, str], stack: Mapping[str, str], folder: Path) -> bool:
    """Load the running stack and profile it; whether there is a profile of everything."""
    stack_dir, password = os.environ.get("STACK_DIR"), read(layout(os.environ)).get("postgres", "")
    databases = [Database(name, int(stack[f"{name.upper()}_DB_PORT"]), password) for name in SERVICES]
    counting = [one for one in databases if asyncio.run(one.count(stack_dir))]
    for one in databases:
        if one not in counting:
            console.print(f"no statements of {one.service}: its PostgreSQL lacks {LIBRARY} (postgresql-contrib)")
    api.up(stack["COORDINATION_MODE"], stack_dir)  # returns when every service is ready again
    command, environment = invocation(values, stack, folder)
    load = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    time.sleep(EDGE)  # so long a load is begun before anything is sampled
    sampling = samplers(folder, max(1.0, float(values["DURATION"]) - 2 * EDGE)) if PY_SPY.exists() else []
    if not sampling:
        console.print("no flame graphs: py-spy is missing; make setup-dev installs it")
    load.wait()
    failed = [name for name, sampler in sampling if sampler.wait()]
    for name in failed:
        console.print(f"no flame graph of {name}: {(folder / f'{name}.log').read_text().strip()[-300:]}")
    statements = {one.service: asyncio.run(one.counted()) for one in counting}
    (folder / "statements.md").write_text(table(statements))
    return bool(sampling) and not failed and len(counting) == len(databases)


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

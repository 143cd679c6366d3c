"""The statements of the stack's databases by their time, as pg_stat_statements counts them."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from quartet_stack import api
from quartet_stack.layout import layout
from quartet_stack.secrets_store import read
from quartet_stack.settings import SERVICES

READY: Final = 30.0  # seconds within which a database answers again after its restart
LIBRARY: Final = "pg_stat_statements"

STATEMENTS: Final = (
    f"SELECT query, calls, rows, total_exec_time, shared_blks_dirtied, wal_bytes FROM {LIBRARY} "
    "WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1) ORDER BY total_exec_time DESC LIMIT $2"
)


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
        finally:
            await connection.close()
        await self.reset()
        return True

    async def reset(self) -> None:
        """Forget what was counted so far."""
        connection = await self.connect()
        try:
            await connection.execute(f"SELECT {LIBRARY}_reset()")
        finally:
            await connection.close()

    async def counted(self, most: int | None = None) -> list[Statement]:
        """The statements so far, the longest `most` first. The server counts no more once it is restarted."""
        connection = await self.connect()
        try:
            rows = await connection.fetch(STATEMENTS, f"{self.service}_service", most)
            await connection.execute("ALTER SYSTEM RESET shared_preload_libraries")
        finally:
            await connection.close()
        return [Statement(row[0], row[1], row[2], row[3] / 1000, row[4], int(row[5])) for row in rows]


def databases(stack: Mapping[str, str]) -> list[Database]:
    """The databases of the stack with this environment."""
    password = read(layout(stack)).get("postgres", "")
    return [Database(name, int(stack[f"{name.upper()}_DB_PORT"]), password) for name in SERVICES]


def counting(stack: Mapping[str, str], stack_dir: str | None) -> tuple[list[Database], list[str]]:
    """Let all databases count: those that do, and the names of those whose PostgreSQL cannot."""
    all_of_them = databases(stack)
    able = [one for one in all_of_them if asyncio.run(one.count(stack_dir))]
    return able, [one.service for one in all_of_them if one not in able]

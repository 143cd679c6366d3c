"""Superuser sessions with the servers of a database: the SQL of replication, and what a primary says of its standby."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from quartet_stack.errors import StackError
from quartet_stack.processes.readiness import HOST
from quartet_stack.servers import postgres, standby
from quartet_stack.settings import Settings

T = TypeVar("T")
Work = Callable[[Any], Coroutine[Any, Any, T]]  # gets the connection
ANSWER_SECONDS: Final = 5.0
STANDBYS: Final = (
    "SELECT state, sync_state, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn)::bigint AS behind "
    f"FROM pg_stat_replication WHERE application_name = '{standby.NAME}'"
)


@dataclass(frozen=True)
class StandbyStatus:
    """What a primary says of its standby.

    `state` is `streaming` while the standby follows; `sync`: commits wait for it; `behind`: bytes of the log that are
    not on its disk yet.
    """

    state: str
    sync: bool
    behind: int


def run(
    settings: Settings,
    secrets: Mapping[str, str],
    service: str,
    server: str,
    work: Work[T],
    seconds: float = ANSWER_SECONDS,
) -> T:
    """Do some work in a superuser session with one server, and return its result.

    Raises:
        StackError: The server cannot be reached, or the work failed or took longer than `seconds`.
    """
    import asyncpg

    async def connected() -> T:
        async with asyncio.timeout(seconds):
            connection = await asyncpg.connect(
                host=HOST,
                port=standby.port(settings, service, server),
                user="postgres",
                password=secrets["postgres"],
                database="postgres",
                timeout=ANSWER_SECONDS,
            )
            try:
                return await work(connection)
            finally:
                connection.terminate()

    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
        try:
            return thread.submit(asyncio.run, connected()).result()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StackError(
                f"{service}-{server} did not carry out a command: {type(error).__name__}: {error}"
            ) from None


async def standby_status(connection: Any) -> StandbyStatus | None:
    """Ask a primary for the status of its standby; None if none is connected."""
    row = await connection.fetchrow(STANDBYS)
    return StandbyStatus(row["state"], row["sync_state"] == "sync", int(row["behind"] or 0)) if row else None


async def in_recovery(connection: Any) -> bool:
    """Whether the server is a standby."""
    return bool(await connection.fetchval("SELECT pg_is_in_recovery()"))


def wait_for_standby(name: str) -> Work[None]:
    """Let each commit wait for the standby with this name; an empty name: for none."""

    async def work(connection: Any) -> None:
        await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        await connection.execute("SELECT pg_reload_conf()")

    return work


def promote(service: str) -> Work[None]:
    """Make a primary of a standby, which first applies all of the log that it has received."""

    async def work(connection: Any) -> None:
        await wait_for_standby("")(connection)
        if await connection.fetchval("SELECT pg_is_in_recovery() AND NOT pg_promote(true, 30)"):
            raise StackError(f"{service}: the standby did not become a primary within 30 s; for its log: make logs")

    return work


async def commit(connection: Any) -> None:
    """Make a commit that waits for the standby.

    The checkpointer tells the other processes that commits wait; after a checkpoint it has read its settings.
    """
    await connection.execute("CHECKPOINT")
    await connection.execute("SELECT pg_logical_emit_message(true, 'standby', '')")


def create_auditor(service: str, password: str) -> Work[None]:
    """Create the role that may read everything and change nothing, or set its password."""

    async def work(connection: Any) -> None:
        name = standby.AUDITOR
        await connection.execute("SET synchronous_commit = local")  # `make up` waits for no standby because of this
        exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name)
        await connection.execute(f"{'ALTER' if exists else 'CREATE'} ROLE {name} LOGIN PASSWORD '{password}'")
        await connection.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on")
        await connection.execute(f"GRANT pg_read_all_data TO {name}")
        await connection.execute(f"GRANT CONNECT ON DATABASE {postgres.role(service)} TO {name}")

    return work


def create_replicator(password: str) -> Work[None]:
    """Create the role that replicates, or set its password; the server also reads its rules about connections again."""

    async def work(connection: Any) -> None:
        await connection.execute("SET synchronous_commit = local")  # no standby can confirm it yet
        exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", standby.REPLICATOR)
        verb = "ALTER" if exists else "CREATE"
        await connection.execute(f"{verb} ROLE {standby.REPLICATOR} LOGIN REPLICATION PASSWORD '{password}'")
        await connection.execute("SELECT pg_reload_conf()")

    return work

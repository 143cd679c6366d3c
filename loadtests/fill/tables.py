"""Writes millions of rows into the tables of the four databases: COPY without indexes, which are built afterwards.

All is one transaction in each database, under a lock that nobody else gets past: a service that is up waits or fails
meanwhile, and sees either nothing of it or all.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from checkout.messages import SERVICES

Connection = Any  # asyncpg types none of its connections
_SETTINGS: Final = {
    "application_name": "fill",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "30s",
    "maintenance_work_mem": "256MB",
}
# Constraints and indexes of a table, each with how it is dropped and how it is made again. Checks stay.
_INDEXES: Final = """
SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', $1::text, conname) AS drop,
       format('ALTER TABLE %I ADD CONSTRAINT %I %s', $1::text, conname, pg_get_constraintdef(oid)) AS make
FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u')
UNION ALL
SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = $1::text::regclass
AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
"""
_BUSY: Final = {
    "order": "SELECT (SELECT count(*) FROM orders WHERE NOT settled) + (SELECT count(*) FROM outbox_waiting)",
    **dict.fromkeys(("inventory", "payment", "shipping"), "SELECT count(*) FROM outbox_waiting"),
}
_STOCK: Final = (("inventory", "stock_items"), ("order", "catalogue"))


class Busy(Exception):
    """Orders are in flight; the message says what to do."""


@dataclass(slots=True)
class Tables:
    """The databases by service, each in a transaction; `made` are the statements that make the indexes again."""

    at: Mapping[str, Connection]
    made: dict[str, list[str]] = field(default_factory=dict)

    async def prepare(self, filled: Sequence[tuple[str, str]]) -> None:
        """Lock these tables (service, table) and the stock, and take the indexes of these tables away.

        Raises:
            Busy: An order is in flight.
        """
        await self._each(self._lock, [*filled, *_STOCK])
        for service, connection in self.at.items():
            if busy := await connection.fetchval(_BUSY[service]):
                raise Busy(f"{busy} orders or messages are in flight in {service}; wait until `make audit` is clean")
        await self._each(self._drop, filled)

    async def copy(
        self, lines: Mapping[tuple[str, str], bytes], columns: Mapping[tuple[str, str], Sequence[str]]
    ) -> None:
        """Append rows, given as lines for COPY, to their tables: the databases side by side."""

        async def into(service: str) -> None:
            for (owner, table), text in lines.items():
                if owner == service:
                    await self.at[service].copy_to_table(table, source=_source(text), columns=columns[owner, table])

        await asyncio.gather(*(into(service) for service in self.at))

    async def finish(self, on_step: Callable[[str], None]) -> None:
        """Make the indexes again, commit, and let the servers learn what the tables hold."""

        async def make(service: str) -> None:
            for statement in self.made[service]:
                on_step(f"{service}: {statement.split(' (')[0]}")
                await self.at[service].execute(statement)

        await asyncio.gather(*(make(service) for service in self.at))
        for connection in self.at.values():
            await connection.execute("COMMIT")
        on_step("vacuum, analyze")
        await asyncio.gather(*(connection.execute("VACUUM (ANALYZE)") for connection in self.at.values()))

    async def _lock(self, service: str, tables: Sequence[str]) -> None:
        await self.at[service].execute(f"BEGIN; LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")

    async def _drop(self, service: str, tables: Sequence[str]) -> None:
        made = self.made.setdefault(service, [])
        for table in tables:
            for index in await self.at[service].fetch(_INDEXES, table):
                await self.at[service].execute(index["drop"])
                made.append(index["make"])

    async def _each(self, step: Callable[[str, Sequence[str]], Any], filled: Sequence[tuple[str, str]]) -> None:
        for service in self.at:
            await step(service, [table for owner, table in filled if owner == service])


async def _source(text: bytes) -> AsyncIterator[bytes]:
    yield text


@asynccontextmanager
async def opened(databases: Mapping[str, str]) -> AsyncIterator[Tables]:
    """The four databases. What is not committed when the context is left is undone."""
    async with AsyncExitStack() as stack:
        at = {}
        for service in SERVICES:
            url = databases[service].replace("+asyncpg", "")
            at[service] = await asyncpg.connect(url, server_settings=_SETTINGS, command_timeout=None, timeout=10)
            stack.push_async_callback(at[service].close)
        yield Tables(at)

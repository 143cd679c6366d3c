"""Statements about many rows at once.

Guarantee: everything that a transaction writes goes to the database in one statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sagakit.message import Command
from sagakit.ports import RowsLocked
from sagakit.service import WorkingSet


@dataclass(frozen=True, slots=True)
class Cte:
    """A common table expression: one of several statements sent as one, each with its own name and parameter names.

    `creates`: the subjects whose rows it inserts. It returns the ids of those that it has inserted; another transaction
    has created the others.
    """

    name: str
    sql: str
    values: Mapping[str, Any]
    creates: Sequence[str] = ()


class Rows(Protocol):
    """A service's own tables, inside a transaction of the machinery."""

    async def load(
        self, connection: AsyncConnection, commands: Sequence[Command], nudged: Sequence[str], claim: Cte | None
    ) -> tuple[set[str], WorkingSet]:
        """Execute `claim`, and lock and load the rows that exist: the ids that `claim` returns, and the states.

        It does not wait for a lock: all rows of the batch would wait for one that is locked for long.

        Raises:
            RowsLocked: Another transaction has locked some of the rows.
        """

    def changes(self, working: Any) -> Sequence[Cte]:
        """The statements that write the changed states."""


# Each text is parsed once.
statement = cache(text)


async def execute(connection: AsyncConnection, parts: Sequence[Cte], query: str) -> Any:
    """Execute all parts in one round trip, and `query`, which may read what they return; its rows.

    No part sees what another one writes.
    """
    values = {name: value for part in parts for name, value in part.values.items()}
    tables = ", ".join(f"{part.name} AS ({part.sql})" for part in parts)
    return await connection.execute(statement(f"WITH {tables} {query}"), values)


async def save(connection: AsyncConnection, parts: Sequence[Cte]) -> None:
    """Execute all parts in one round trip.

    Raises:
        RowsLocked: Another transaction has created rows that were to be created.
    """
    creating = [part for part in parts if part.creates]
    query = " UNION ALL ".join(f"SELECT * FROM {part.name}" for part in creating)
    rows = await execute(connection, parts, query or "SELECT")
    if creating:
        created = {row[0] for row in rows}
        if lost := {subject for part in creating for subject in part.creates} - created:
            raise RowsLocked(frozenset(lost))


def locked(table: str, key: str, columns: Sequence[str], ids: Sequence[str]) -> Cte:
    """Lock and read the rows of these ids in sorted order, and skip those that another transaction has locked."""
    names = ", ".join((key, *columns))
    wanted = f"{key} = ANY(CAST(:{table}_ids AS text[]))"
    sql = f"SELECT {names} FROM {table} WHERE {wanted} ORDER BY {key} FOR UPDATE SKIP LOCKED"
    return Cte("locked", sql, {f"{table}_ids": ids})


async def claim_and_lock(
    connection: AsyncConnection, claim: Cte | None, lock: Cte
) -> tuple[set[str], Sequence[Sequence[Any]]]:
    """Execute both in one round trip: the ids that `claim` returns, and the rows of `lock`."""
    if claim is None:
        return set(), (await execute(connection, [lock], "SELECT * FROM locked")).all()
    query = f"SELECT {claim.name}.id AS claimed, locked.* FROM {claim.name} FULL JOIN locked ON false"
    both = (await execute(connection, [claim, lock], query)).all()
    return {row[0] for row in both if row[0] is not None}, [row[1:] for row in both if row[0] is None]


async def held_by_others(connection: AsyncConnection, table: str, key: str, missing: Sequence[str]) -> list[str]:
    """Those of the ids, missing in the result of `locked`, whose rows exist: another transaction has locked them."""
    if not missing:
        return []
    sql = f"SELECT {key} FROM {table} WHERE {key} = ANY(CAST(:ids AS text[]))"
    return [row[0] for row in await connection.execute(statement(sql), {"ids": missing})]

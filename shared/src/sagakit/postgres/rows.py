"""Statements about many rows at once.

Guarantee: everything that a transaction writes goes to the database in one statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sagakit.message import Command
from sagakit.ports import RowsLocked
from sagakit.postgres.session import Session
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
        self, session: Session, commands: Sequence[Command], nudged: Sequence[str], claim: Cte | None
    ) -> tuple[set[str], WorkingSet]:
        """Execute `claim`, and lock and load the rows that exist: the ids that `claim` returns, and the states.

        It does not wait for a lock: all rows of the batch would wait for one that is locked for long.

        Raises:
            RowsLocked: Another transaction has locked some of the rows.
        """

    def changes(self, working: Any) -> Sequence[Cte]:
        """The statements that write the changed states."""


async def execute(session: Session, parts: Sequence[Cte], query: str) -> Sequence[Sequence[Any]]:
    """Execute all parts in one round trip, and `query`, which may read what they return; its rows.

    No part sees what another one writes.
    """
    values = {name: value for part in parts for name, value in part.values.items()}
    tables = ", ".join(f"{part.name} AS ({part.sql})" for part in parts)
    return await session.fetch(f"WITH {tables} {query}", values)


async def save(session: Session, parts: Sequence[Cte]) -> None:
    """Execute all parts in one round trip.

    Raises:
        RowsLocked: Another transaction has created rows that were to be created.
    """
    creating = [part for part in parts if part.creates]
    query = " UNION ALL ".join(f"SELECT * FROM {part.name}" for part in creating)
    rows = await execute(session, parts, query or "SELECT")
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


async def claim_and_lock(session: Session, claim: Cte | None, lock: Cte) -> tuple[set[str], Sequence[Sequence[Any]]]:
    """Execute both in one round trip: the ids that `claim` returns, and the rows of `lock`."""
    if claim is None:
        return set(), await execute(session, [lock], "SELECT * FROM locked")
    query = f"SELECT {claim.name}.id AS claimed, locked.* FROM {claim.name} FULL JOIN locked ON false"
    both = await execute(session, [claim, lock], query)
    return {row[0] for row in both if row[0] is not None}, [row[1:] for row in both if row[0] is None]


async def held_by_others(session: Session, table: str, key: str, missing: Sequence[str]) -> list[str]:
    """Those of the ids, missing in the result of `locked`, whose rows exist: another transaction has locked them."""
    if not missing:
        return []
    sql = f"SELECT {key} FROM {table} WHERE {key} = ANY(CAST(:ids AS text[]))"
    return [row[0] for row in await session.fetch(sql, {"ids": missing})]

"""Loads and saves many rows of a table at once.

Guarantee: everything that a transaction writes goes to the database in one statement.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sagakit.message import Command
from sagakit.ports import RowsLocked
from sagakit.service import WorkingSet


@dataclass(frozen=True, slots=True)
class Cte:
    """A common table expression: one of several statements sent as one, each with its own name and parameter names."""

    name: str
    sql: str
    values: Mapping[str, Any]


class Rows(Protocol):
    """A service's own tables, inside a transaction of the machinery."""

    def placeholders(self, commands: Sequence[Command]) -> Cte | None:
        """The statement that inserts the missing rows, since a missing row cannot be locked; None if none can miss."""

    async def load(self, connection: AsyncConnection, commands: Sequence[Command], nudged: Sequence[str]) -> WorkingSet:
        """Lock and load the rows, which exist, in sorted order.

        It does not wait for a lock: all rows of the batch would wait for one that is locked for long.

        Raises:
            RowsLocked: Another transaction has locked some of the rows.
        """

    def changes(self, working: Any) -> Sequence[Cte]:
        """The statements that write the changed states."""


# Each text is parsed once.
statement = cache(text)


async def execute(connection: AsyncConnection, parts: Sequence[Cte]) -> Any:
    """Execute all parts in one round trip; return the rows of the last one. No part sees what another one writes."""
    *before, last = parts
    values = {name: value for part in parts for name, value in part.values.items()}
    tables = ", ".join(f"{part.name} AS ({part.sql})" for part in before)
    return await connection.execute(statement(f"WITH {tables} {last.sql}" if before else last.sql), values)


async def lock(connection: AsyncConnection, table: str, key: str, columns: str, ids: Sequence[str]) -> Any:
    """Lock and read the rows of these ids in sorted order, and skip those that another transaction has locked."""
    sql = (
        f"SELECT {key}, {columns} FROM {table} WHERE {key} = ANY(CAST(:ids AS text[])) "
        f"ORDER BY {key} FOR UPDATE SKIP LOCKED"
    )
    return await connection.execute(statement(sql), {"ids": ids})


async def held_by_others(connection: AsyncConnection, table: str, key: str, missing: Sequence[str]) -> list[str]:
    """Those of the ids, missing in the result of `lock`, whose rows exist: another transaction has locked them."""
    if not missing:
        return []
    sql = f"SELECT {key} FROM {table} WHERE {key} = ANY(CAST(:ids AS text[]))"
    return [row[0] for row in await connection.execute(statement(sql), {"ids": missing})]


class EntitySet:
    """A working set of states by subject; `write_once` holds the write-once columns of each row as loaded."""

    def __init__(
        self, states: dict[str, Any], write_once: Mapping[str, Sequence[Any]], new: Callable[[str], Any]
    ) -> None:
        self.write_once = write_once
        self._states = states
        self._new = new
        self.changed: set[str] = set()

    def get(self, subject: str, command: Command | None) -> Any:
        """The state of the subject; a new one if its row is empty."""
        return self._states.get(subject) or self._new(subject)

    def put(self, subject: str, state: Any) -> None:
        """Replace the state of the subject; only a state that differs is written."""
        if state != self._states.get(subject):
            self._states[subject] = state
            self.changed.add(subject)

    def changes(self) -> Mapping[str, Any]:
        """The changed states by subject, in sorted order."""
        return {subject: self._states[subject] for subject in sorted(self.changed)}


@dataclass(frozen=True)
class EntityRows:
    """A table with a row per order: how its rows become states, and which of its columns an update writes.

    Most updates write the `mutable` columns alone; the `write_once` ones are written only when their values differ
    from those loaded, which is when a placeholder is filled. Columns are pairs of a name and a PostgreSQL type.
    """

    table: str
    new: Callable[[str], Any]  # the state of an order whose row is empty
    read: Callable[[Any], Any]  # row -> state
    write: Callable[[Any], Mapping[str, Any]]  # state -> values of the columns
    mutable: tuple[tuple[str, str], ...]
    write_once: tuple[tuple[str, str], ...]
    created_by: tuple[type[Command], ...]  # commands that may arrive before the order has a row
    on_update: str = ""  # SQL assignments that every update makes too
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of `on_update`

    def placeholders(self, commands: Sequence[Command]) -> Cte | None:
        """Insert an empty row for each order that a command may create."""
        subjects = sorted({command.subject for command in commands if isinstance(command, self.created_by)})
        insert = f"INSERT INTO {self.table} (order_id) SELECT unnest(CAST(:placed AS text[])) ON CONFLICT DO NOTHING"
        return Cte("placed", insert, {"placed": subjects}) if subjects else None

    async def load(self, connection: AsyncConnection, commands: Sequence[Command], nudged: Sequence[str]) -> EntitySet:
        """Lock and load the rows of all commanded and nudged orders.

        Raises:
            RowsLocked: Another transaction has locked some of the rows.
        """
        columns = ", ".join(name for name, _ in (*self.mutable, *self.write_once))
        ids = sorted({command.subject for command in commands} | set(nudged))
        rows = await lock(connection, self.table, "order_id", columns, ids)
        states: dict[str, Any] = {}
        write_once: dict[str, Sequence[Any]] = {}
        for row in rows:
            states[row[0]] = self.read(row)
            write_once[row[0]] = row[1 + len(self.mutable) :]
        missing = [order_id for order_id in ids if order_id not in states]
        if locked := await held_by_others(connection, self.table, "order_id", missing):
            raise RowsLocked(frozenset(locked))
        return EntitySet(states, write_once, self.new)

    def changes(self, working: EntitySet) -> list[Cte]:
        """Update the changed rows: all columns of those that are filled, the mutable ones of the others."""
        filled: dict[str, Mapping[str, Any]] = {}
        moved: dict[str, Mapping[str, Any]] = {}
        for subject, state in working.changes().items():
            row = self.write(state)
            same = tuple(row[name] for name, _ in self.write_once) == tuple(working.write_once.get(subject, ()))
            (moved if same else filled)[subject] = row
        return [
            self._update(name, rows, columns)
            for name, rows, columns in (
                ("filled", filled, (*self.mutable, *self.write_once)),
                ("moved", moved, self.mutable),
            )
            if rows
        ]

    def _update(self, part: str, rows: Mapping[str, Mapping[str, Any]], columns: Sequence[tuple[str, str]]) -> Cte:
        values: dict[str, Any] = {f"{part}_{name}": [row[name] for row in rows.values()] for name, _ in columns}
        arrays = ", ".join(f"CAST(:{part}_{name} AS {kind}[])" for name, kind in columns)
        names = ", ".join(name for name, _ in columns)
        sets = ", ".join(f"{name} = u.{name}" for name, _ in columns)
        on_update = f", {self.on_update}" if self.on_update else ""
        update = (
            f"UPDATE {self.table} AS t SET {sets}{on_update} "
            f"FROM unnest(CAST(:{part}_ids AS text[]), {arrays}) AS u(order_id, {names}) "
            "WHERE t.order_id = u.order_id"
        )
        return Cte(part, update, {f"{part}_ids": list(rows), **values, **self.parameters})

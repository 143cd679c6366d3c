"""Loading and saving many rows of one table; what a transaction writes goes to the database in one statement."""

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
    """One of several statements that are sent as one. Names of parts differ, and so do those of their parameters."""

    name: str
    sql: str
    values: Mapping[str, Any]


class Rows(Protocol):
    """A service's own tables, inside a transaction of the machinery."""

    def placeholders(self, commands: Sequence[Command]) -> Cte | None:
        """Inserts the rows that are not there yet, for an absent row cannot be locked."""

    async def load(self, connection: AsyncConnection, commands: Sequence[Command], nudged: Sequence[str]) -> WorkingSet:
        """Lock and load the rows, which are there, in sorted order; RowsLocked if somebody else holds any of them.

        It does not wait for a lock: behind one row that is held for long, all others would wait too.
        """

    def changes(self, working: Any) -> Sequence[Cte]:
        """Writes the states that have changed."""


# Parsed once: a statement is looked up by its text.
statement = cache(text)


async def execute(connection: AsyncConnection, parts: Sequence[Cte]) -> Any:
    """All parts in one round trip; the rows of the last one. They see the same rows, and none what another writes."""
    *before, last = parts
    values = {name: value for part in parts for name, value in part.values.items()}
    tables = ", ".join(f"{part.name} AS ({part.sql})" for part in before)
    return await connection.execute(statement(f"WITH {tables} {last.sql}" if before else last.sql), values)


async def lock(connection: AsyncConnection, table: str, key: str, columns: str, ids: Sequence[str]) -> Any:
    """Lock and read the rows of these ids, in sorted order, without those that somebody else holds."""
    sql = (
        f"SELECT {key}, {columns} FROM {table} WHERE {key} = ANY(CAST(:ids AS text[])) "
        f"ORDER BY {key} FOR UPDATE SKIP LOCKED"
    )
    return await connection.execute(statement(sql), {"ids": ids})


async def held_by_others(connection: AsyncConnection, table: str, key: str, missing: Sequence[str]) -> list[str]:
    """Those of the ids that `lock` did not find although their rows are there. Asks only if any is missing."""
    if not missing:
        return []
    sql = f"SELECT {key} FROM {table} WHERE {key} = ANY(CAST(:ids AS text[]))"
    return [row[0] for row in await connection.execute(statement(sql), {"ids": missing})]


class EntitySet:
    """A working set of states by subject; `write_once` are their wide columns as they were loaded."""

    def __init__(
        self, states: dict[str, Any], write_once: Mapping[str, Sequence[Any]], new: Callable[[str], Any]
    ) -> None:
        self.write_once = write_once
        self._states = states
        self._new = new
        self.changed: set[str] = set()

    def get(self, subject: str, command: Command | None) -> Any:
        return self._states.get(subject) or self._new(subject)

    def put(self, subject: str, state: Any) -> None:
        if state != self._states.get(subject):
            self._states[subject] = state
            self.changed.add(subject)

    def changes(self) -> Mapping[str, Any]:
        return {subject: self._states[subject] for subject in sorted(self.changed)}


@dataclass(frozen=True)
class EntityRows:
    """One table with a row per order. `mutable` columns change; `write_once` ones are written when the row is filled.

    Columns are (name, PostgreSQL type); `read` makes a state of a row, `write` the column values of a state.
    `created_by`: commands that may come before there is a row; `on_update`: SQL assignments added to every update.
    """

    table: str
    new: Callable[[str], Any]
    read: Callable[[Any], Any]
    write: Callable[[Any], Mapping[str, Any]]
    mutable: tuple[tuple[str, str], ...]
    write_once: tuple[tuple[str, str], ...]
    created_by: tuple[type[Command], ...]
    on_update: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def placeholders(self, commands: Sequence[Command]) -> Cte | None:
        new = sorted({command.subject for command in commands if isinstance(command, self.created_by)})
        insert = f"INSERT INTO {self.table} (order_id) SELECT unnest(CAST(:placed AS text[])) ON CONFLICT DO NOTHING"
        return Cte("placed", insert, {"placed": new}) if new else None

    async def load(self, connection: AsyncConnection, commands: Sequence[Command], nudged: Sequence[str]) -> EntitySet:
        columns = ", ".join(name for name, _ in (*self.mutable, *self.write_once))
        ids = sorted({command.subject for command in commands} | set(nudged))
        rows = await lock(connection, self.table, "order_id", columns, ids)
        states: dict[str, Any] = {}
        write_once: dict[str, Sequence[Any]] = {}
        for row in rows:
            states[row[0]] = self.read(row)
            write_once[row[0]] = row[1 + len(self.mutable) :]
        if held := await held_by_others(connection, self.table, "order_id", [one for one in ids if one not in states]):
            raise RowsLocked(frozenset(held))
        return EntitySet(states, write_once, self.new)

    def changes(self, working: EntitySet) -> list[Cte]:
        filled: dict[str, Mapping[str, Any]] = {}
        moved: dict[str, Mapping[str, Any]] = {}
        for subject, state in working.changes().items():
            written = self.write(state)
            same = tuple(written[name] for name, _ in self.write_once) == tuple(working.write_once.get(subject, ()))
            (moved if same else filled)[subject] = written
        return [
            self._update(name, written, columns)
            for name, written, columns in (
                ("filled", filled, (*self.mutable, *self.write_once)),
                ("moved", moved, self.mutable),
            )
            if written
        ]

    def _update(self, part: str, written: Mapping[str, Mapping[str, Any]], columns: Sequence[tuple[str, str]]) -> Cte:
        values: dict[str, Any] = {f"{part}_{name}": [one[name] for one in written.values()] for name, _ in columns}
        arrays = ", ".join(f"CAST(:{part}_{name} AS {kind}[])" for name, kind in columns)
        names = ", ".join(name for name, _ in columns)
        sets = ", ".join(f"{name} = u.{name}" for name, _ in columns)
        on_update = f", {self.on_update}" if self.on_update else ""
        update = (
            f"UPDATE {self.table} AS t SET {sets}{on_update} "
            f"FROM unnest(CAST(:{part}_ids AS text[]), {arrays}) AS u(order_id, {names}) "
            "WHERE t.order_id = u.order_id"
        )
        return Cte(part, update, {f"{part}_ids": list(written), **values, **self.parameters})

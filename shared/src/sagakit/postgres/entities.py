"""A table with a row per order: how its rows become states, and states rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import FieldInfo, fields
from sqlalchemy import BigInteger, Boolean, Column, Table, Text

from sagakit.message import Command
from sagakit.ports import RowsLocked
from sagakit.postgres.rows import Cte, claim_and_lock, held_by_others, locked
from sagakit.postgres.session import Session

_KINDS: Final = ((Text, "text"), (Boolean, "boolean"), (BigInteger, "bigint"))
_PLAIN: Final = (str, str | None, bool, int)


class EntitySet:
    """A working set of states by subject. `loaded`: those of the rows that exist."""

    def __init__(self, loaded: Mapping[str, Any], new: Callable[[str], Any]) -> None:
        self.loaded = loaded
        self._states = dict(loaded)
        self._new = new
        self._changed: set[str] = set()

    def get(self, subject: str, command: Command | None) -> Any:
        """The state of the subject; a new one if it has no row."""
        return self._states.get(subject) or self._new(subject)

    def put(self, subject: str, state: Any) -> None:
        """Replace the state of the subject; only a state that differs is written."""
        if state != self._states.get(subject):
            self._states[subject] = state
            self._changed.add(subject)

    def changes(self) -> Mapping[str, Any]:
        """The changed states by subject, in sorted order."""
        return {subject: self._states[subject] for subject in sorted(self._changed)}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column with its PostgreSQL type: its value in a state, and the value of its field, where it has one."""

    name: str
    kind: str
    value: Callable[[Any], Any]
    read: Callable[[Any], Any] | None


class EntityRows:
    """How the rows of a table are loaded and saved. The states are structs whose first field is the id.

    A column holds the field of its name, or what `derived` makes of the state; all other columns are the database's
    own. A column that may be NULL is NULL where the field has its default. A field that is not text, a number or a
    boolean is kept as JSON.
    """

    def __init__(
        self,
        table: Table,
        state: type[msgspec.Struct],
        *,
        write_once: Sequence[str],
        created_by: tuple[type[Command], ...],
        derived: Mapping[str, Callable[[Any], Any]] | None = None,
        narrow: tuple[type[Command], ...] = (),
        on_write: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Derive the columns from the table and the struct.

        Args:
            table: Its primary key is the id.
            state: The struct of the states; all fields but the id have defaults.
            write_once: The columns that are written when the row is created, and left alone by most updates.
            created_by: The commands that may arrive before the order has a row.
            derived: Columns that are no fields, by name: their value in a state.
            narrow: The commands that are decided without what is in `write_once`: it is not read for them, and the
                state has the defaults of these fields.
            on_write: SQL that each write assigns to further columns.
            parameters: The parameters in `on_write`.
        """
        self._table, self._state, self._created_by, self._narrow = table.name, state, created_by, narrow
        self._on_write, self._parameters = on_write or {}, parameters or {}
        key, *others = fields(state)
        self._key = key.name
        columns = list(_columns(table, others, derived or {}))
        self._columns = [column for column in columns if column.name not in write_once]
        self._all = [*self._columns, *(column for column in columns if column.name in write_once)]
        self._fixed = [column.name for column in columns if column.name in write_once and column.read]

    @property
    def table(self) -> str:
        """The name of the table."""
        return self._table

    @property
    def key(self) -> str:
        """The name of the column with the id."""
        return self._key

    def read(self, row: Any) -> Any:
        """The state in a row that has these columns as attributes."""
        values = {self._key: getattr(row, self._key)}
        return self._state(
            **values, **{column.name: column.read(getattr(row, column.name)) for column in self._all if column.read}
        )

    def write(self, state: Any) -> dict[str, Any]:
        """The values of the columns, without the id."""
        return {column.name: column.value(state) for column in self._all}

    async def load(
        self, session: Session, commands: Sequence[Command], nudged: Sequence[str], claim: Cte | None = None
    ) -> tuple[set[str], EntitySet]:
        """Execute `claim`; lock and load the rows of all commanded and nudged orders.

        Raises:
            RowsLocked: Another transaction has locked some of the rows.
        """
        narrow = not nudged and all(isinstance(command, self._narrow) for command in commands)
        columns = [column for column in (self._columns if narrow else self._all) if column.read]
        ids = sorted({command.subject for command in commands} | set(nudged))
        fresh, rows = await claim_and_lock(
            session, claim, locked(self._table, self._key, [column.name for column in columns], ids)
        )
        states: dict[str, Any] = {}
        for subject, *values in rows:
            read = {one.name: one.read(value) for one, value in zip(columns, values, strict=True) if one.read}
            states[subject] = self._state(subject, **read)
        # a row that exists after all fails when it is created, see `rows.save`
        created = {command.subject for command in commands if isinstance(command, self._created_by)}
        missing = [subject for subject in ids if subject not in states and subject not in created]
        if others := await held_by_others(session, self._table, self._key, missing):
            raise RowsLocked(frozenset(others))
        return fresh, EntitySet(states, self._state)

    def changes(self, working: EntitySet) -> list[Cte]:
        """Insert the rows that are new, and update those that changed: only if it must, what is written once."""
        created, filled, moved = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        for subject, state in working.changes().items():
            before = working.loaded.get(subject)
            if before is None:
                created[subject] = state
            elif any(getattr(state, name) != getattr(before, name) for name in self._fixed):
                filled[subject] = state
            else:
                moved[subject] = state
        parts = [self._insert(created)] if created else []
        parts += [self._update("filled", filled, self._all)] if filled else []
        return parts + ([self._update("moved", moved, self._columns)] if moved else [])

    def _insert(self, states: Mapping[str, Any]) -> Cte:
        arrays, values = self._arrays("created", states, self._all)
        names = ", ".join((self._key, *(column.name for column in self._all), *self._on_write))
        more = "".join(f", {value}" for value in self._on_write.values())
        sql = (
            f"INSERT INTO {self._table} ({names}) SELECT u.*{more} FROM unnest({arrays}) AS u "
            f"ON CONFLICT ({self._key}) DO NOTHING RETURNING {self._key}"
        )
        return Cte("created", sql, values, tuple(states))

    def _update(self, part: str, states: Mapping[str, Any], columns: Sequence[_Column]) -> Cte:
        arrays, values = self._arrays(part, states, columns)
        names = ", ".join(column.name for column in columns)
        sets = [f"{column.name} = u.{column.name}" for column in columns]
        sets += [f"{name} = {value}" for name, value in self._on_write.items()]
        sql = (
            f"UPDATE {self._table} AS t SET {', '.join(sets)} FROM unnest({arrays}) AS u({self._key}, {names}) "
            f"WHERE t.{self._key} = u.{self._key}"
        )
        return Cte(part, sql, values)

    def _arrays(
        self, part: str, states: Mapping[str, Any], columns: Sequence[_Column]
    ) -> tuple[str, Mapping[str, Any]]:
        """The id and the columns of the states as arrays: their SQL, and the parameters in it."""
        arrays = "".join(f", CAST(:{part}_{column.name} AS {column.kind}[])" for column in columns)
        values = {f"{part}_{column.name}": [column.value(state) for state in states.values()] for column in columns}
        return f"CAST(:{part}_ids AS text[]){arrays}", {f"{part}_ids": list(states), **values, **self._parameters}


def _columns(table: Table, own: Sequence[FieldInfo], derived: Mapping[str, Callable[[Any], Any]]) -> Sequence[_Column]:
    by_name = {one.name: one for one in own}
    columns = []
    for column in table.columns:
        kind = next((name for type_, name in _KINDS if isinstance(column.type, type_)), "")
        if column.name in derived:
            columns.append(_Column(column.name, kind, derived[column.name], None))
        elif column.name in by_name:
            columns.append(_of_field(column, kind, by_name[column.name]))
    return columns


def _of_field(column: Column[Any], kind: str, own: FieldInfo) -> _Column:
    name, default = column.name, own.default if own.default_factory is msgspec.NODEFAULT else own.default_factory()
    as_json = own.type not in _PLAIN
    decode = msgspec.json.Decoder(own.type).decode if as_json else None

    def value(state: Any) -> Any:
        found = getattr(state, name)
        if column.nullable and found == default:
            return None
        return msgspec.json.encode(found).decode() if as_json else found

    def read(stored: Any) -> Any:
        if stored is None:
            return default
        return decode(stored) if decode else stored

    return _Column(name, kind, value, read)

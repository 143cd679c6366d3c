"""What an audit reads of each order, as the bytes that COPY sends: one line for each order and table.

The databases bring the rows of an order together. Nothing is decoded. `tables` reads the same rows as values. Both see
the same columns, so what is equal here is equal there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import DateTime, Select, Table, func, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.messages import SERVICES
from checkout_audit.rows import LedgerRow
from checkout_audit.tables import ENTITIES, METADATA, WITH_LEDGER, Among

LAST: Final = ("lines", "amount", "currency", "idempotency_key", "fingerprint", "checkout", "customer")
"""Columns that differ from order to order come last, in this order."""
IGNORED: Final = ("traceparent", "nudges", "seq")
"""Columns, besides times, that no check reads."""
CELL: Final = b"\x1f"
"""Stands between two cells of a row. COPY does not escape it, as it does a tab."""
ROW: Final = b"\x1e"
"""Stands between two rows."""
TIME: Final = 16
"""The length of a time: hexadecimal digits."""
MARKS: Final = tuple(bytes([number]) for number in range(8))
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
_PREFIX: Final = 3  # of a column of bytes, in the text that COPY sends


@dataclass(frozen=True, slots=True)
class Source:
    """One table of one service.

    `key` is the column by which it is read, `order` the one by which the rows of an order are sorted, and `time` says
    when a row was written; a table without it has one row for each order.
    """

    service: str
    table: Table
    key: str
    order: str = ""
    time: str = ""

    def columns(self) -> list[str]:
        """The columns that checks read, but for times: last come those that differ."""
        names = [column.name for column in self.table.c if not isinstance(column.type, DateTime)]
        names = [name for name in names if name not in IGNORED]
        return sorted(names, key=lambda name: LAST.index(name) if name in LAST else -1)

    def nullable(self) -> list[str]:
        """Those of the columns that may be NULL: the first cell of a row says which of them are."""
        return [name for name in self.columns() if self.table.c[name].nullable]

    def cells(self) -> int:
        """The number of cells in a row."""
        return 1 + len(self.columns())

    def statement(self, among: Among) -> str:
        """The query for COPY: for each subject, all times and all rows."""
        dialect: Any = postgresql.dialect  # SQLAlchemy types none of its own
        conditions = among.of(self.table.c[self.key])
        texts = [str(one.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})) for one in conditions]
        where = f"WHERE {' AND '.join(texts)}" if texts else ""
        unknown = ", ".join(f"{name} IS NULL" for name in self.nullable()) or "''"
        values = ", ".join(f"coalesce({name}::text, '')" for name in self.columns())
        row = f"concat_ws({_quoted(CELL)}, concat({unknown}), {values})"
        if not self.time:
            return f"SELECT {self.key}, '', {row} FROM {self.table.name} {where} ORDER BY {self.key}"
        return (
            f"SELECT subject, string_agg(time, ''), string_agg(row, {_quoted(ROW)}) FROM ("
            f"SELECT split_part({self.key}, '/', 1) AS subject, timestamptz_send({self.time}) AS time, {row} AS row "
            f"FROM {self.table.name} {where} ORDER BY 1, {self.order}) AS sorted GROUP BY subject"
        )


def _quoted(separator: bytes) -> str:
    return f"E'\\x{separator.hex()}'"


SOURCES: Final = (
    *(Source(service, ENTITIES[service], "order_id") for service in SERVICES),
    *(Source(service, METADATA[service].tables["inbox"], "id", "id", "claimed_at") for service in SERVICES),
    *(Source(service, METADATA[service].tables["journal"], "id", "seq", "recorded_at") for service in SERVICES),
    *(Source(service, METADATA[service].tables["ledger"], "key", "key", "at") for service in WITH_LEDGER),
)
ORDERS, RESERVATIONS, PAYMENTS, SHIPMENTS = (
    next(at for at, source in enumerate(SOURCES) if source.table is table)
    for table in (ENTITIES["order"], ENTITIES["inventory"], ENTITIES["payment"], ENTITIES["shipping"])
)


@dataclass(slots=True)
class Bundle:
    """The rows of one subject: for each source the text of its rows, and all times, in the order of SOURCES.

    The last part holds the entries of the sandbox's ledger. Each time has TIME digits.
    """

    parts: list[bytes] = field(default_factory=lambda: [b""] * (len(SOURCES) + 1))
    times: bytes = b""


def subjects_since(service: str, since: datetime) -> list[Select[Any]]:
    """Queries for the subjects of a service's rows with a time that is not earlier."""
    queries = []
    for source in SOURCES:
        times = [column for column in source.table.c if isinstance(column.type, DateTime) and column.name != "nudge_at"]
        if source.service == service:
            subject = func.split_part(source.table.c[source.key], "/", 1)
            queries.append(select(subject).where(or_(*(time >= since for time in times))).distinct())
    return queries


class Unmarkable(Exception):
    """A row holds one of the characters that mark what is replaced in a shape, or that stand between cells and rows."""


async def bundles(at: Mapping[str, AsyncConnection], among: Among, ledger: Sequence[LedgerRow]) -> dict[bytes, Bundle]:
    """All rows of a range of subjects, and the sandbox's entries about them, by subject.

    Raises:
        Unmarkable: They have to be read as values.
    """

    async def of(service: str) -> list[bytes]:
        return [await _copied(at[service], source.statement(among)) for source in SOURCES if source.service == service]

    texts = dict(zip(SERVICES, map(iter, await asyncio.gather(*map(of, SERVICES))), strict=True))
    return gathered([next(texts[source.service]) for source in SOURCES], ledger)


def gathered(texts: Sequence[bytes], ledger: Sequence[LedgerRow]) -> dict[bytes, Bundle]:
    """The lines of each source, and the sandbox's entries, by subject.

    Raises:
        Unmarkable: They have to be read as values.
    """
    found: dict[bytes, Bundle] = {}
    for position, (source, text) in enumerate(zip(SOURCES, texts, strict=True)):
        _gather(found, position, source, text)
    for entry in sorted(ledger, key=lambda entry: entry.key):
        bundle = found.setdefault(entry.order_id.encode(), Bundle())
        bundle.parts[-1] += _line(entry)
        bundle.times += b"%016x" % ((entry.at - _EPOCH) // timedelta(microseconds=1))
    return found


def _line(entry: LedgerRow) -> bytes:
    money = entry.amount
    fields = (
        entry.key,
        entry.provider,
        entry.operation,
        entry.outcome,
        *((money.amount, money.currency) if money else ()),
    )
    line = CELL.join(str(one).encode() for one in fields)
    if any(mark in line for mark in MARKS) or line.count(CELL) != len(fields) - 1 or ROW in line:
        raise Unmarkable
    return line + ROW


async def _copied(connection: AsyncConnection, statement: str) -> bytes:
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.copy_from_query(statement, output=keep)
    return b"".join(chunks)


def _gather(found: dict[bytes, Bundle], position: int, source: Source, text: bytes) -> None:
    lines = text.split(b"\n")
    lines.pop()
    digits = 0
    for line in lines:
        subject, times, rows = line.split(b"\t")
        bundle = found.get(subject)
        if bundle is None:
            bundle = found[subject] = Bundle()
        before = bundle.parts[position]
        bundle.parts[position] = before + ROW + rows if before else rows
        if times:
            bundle.times += times[_PREFIX:]
            digits += len(times) - _PREFIX
    rows_read = digits // TIME if source.time else len(lines)
    # A cell that holds a separator itself makes them more
    separated = text.count(CELL) == rows_read * (source.cells() - 1) and text.count(ROW) == rows_read - len(lines)
    if not separated or any(mark in text for mark in MARKS):
        raise Unmarkable

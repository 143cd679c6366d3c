"""What an audit reads of each order, as the bytes that COPY sends: nothing is decoded, rows are only sorted by subject.

`tables` reads the same rows as values. Both see the same columns, so what is equal here is equal there.
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
HEAD: Final = 20
"""The length of a number at the start of a line: `\\\\x`, 16 hexadecimal digits and a tab."""
MARKS: Final = tuple(bytes([number]) for number in range(8))
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's


@dataclass(frozen=True, slots=True)
class Source:
    """One table of one service. `key` is the column by which it is read, `numbers` lead each of its lines."""

    service: str
    table: Table
    key: str
    numbers: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """The columns besides numbers that checks read: first the one with the subject, last what differs."""
        names = [column.name for column in self.table.c if not isinstance(column.type, DateTime)]
        names = [name for name in names if name not in IGNORED]
        return sorted(names, key=lambda name: LAST.index(name) if name in LAST else -1)

    def statement(self, among: Among) -> str:
        """The query for COPY: the numbers, the subject's column first among the others, sorted by key."""
        columns = self.table.c
        numbers = [
            func.int8send(columns[name]) if name == "seq" else func.timestamptz_send(columns[name])
            for name in self.numbers
        ]
        others = [columns[name] for name in self.columns()]
        query: Select[Any] = select(*numbers, *others).where(*among.of(columns[self.key])).order_by(columns[self.key])
        dialect: Any = postgresql.dialect  # SQLAlchemy types none of its own
        return str(query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))


SOURCES: Final = (
    *(Source(service, ENTITIES[service], "order_id") for service in SERVICES),
    *(Source(service, METADATA[service].tables["inbox"], "id", ("claimed_at",)) for service in SERVICES),
    *(Source(service, METADATA[service].tables["journal"], "id", ("seq", "recorded_at")) for service in SERVICES),
    *(Source(service, METADATA[service].tables["ledger"], "key", ("at",)) for service in WITH_LEDGER),
)
ORDERS, RESERVATIONS, PAYMENTS, SHIPMENTS = (
    next(at for at, source in enumerate(SOURCES) if source.table is table)
    for table in (ENTITIES["order"], ENTITIES["inventory"], ENTITIES["payment"], ENTITIES["shipping"])
)


@dataclass(slots=True)
class Bundle:
    """The rows of one subject: for each source their lines without numbers, and all times, in the order of SOURCES.

    The last part holds the entries of the sandbox's ledger.
    """

    parts: list[bytes] = field(default_factory=lambda: [b""] * (len(SOURCES) + 1))
    times: list[bytes] = field(default_factory=list)


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
    """A row holds one of the characters that mark what is replaced in a shape."""


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
    if any(mark in text for text in texts for mark in MARKS):
        raise Unmarkable
    found: dict[bytes, Bundle] = {}
    for position, (source, text) in enumerate(zip(SOURCES, texts, strict=True)):
        _gather(found, position, source, text)
    for entry in sorted(ledger, key=lambda entry: entry.key):
        bundle = found.setdefault(entry.order_id.encode(), Bundle())
        bundle.parts[-1] += _line(entry)
        bundle.times.append(b"\\\\x%016x\t" % ((entry.at - _EPOCH) // timedelta(microseconds=1)))
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
    line = "\t".join(map(str, fields)).encode() + b"\n"
    if any(mark in line for mark in MARKS):
        raise Unmarkable
    return line


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
    begin = HEAD * len(source.numbers)
    group: list[bytes] = []
    subject = b""
    for line in lines:
        end = line.find(b"\t", begin)
        whose = line[begin:end].partition(b"/")[0]
        if whose != subject:
            _keep(found, position, begin, subject, group)
            subject, group = whose, []
        group.append(line)
    _keep(found, position, begin, subject, group)


def _keep(found: dict[bytes, Bundle], position: int, begin: int, subject: bytes, group: Sequence[bytes]) -> None:
    if not group:
        return
    bundle = found.get(subject)
    if bundle is None:
        bundle = found[subject] = Bundle()
    if begin > HEAD:
        group = sorted(group)  # by the first number, which has one length
    bundle.parts[position] = b"\n".join([line[begin:] for line in group])
    if begin:
        bundle.times += [line[begin - HEAD : begin] for line in group]

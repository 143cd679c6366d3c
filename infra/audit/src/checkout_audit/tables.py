"""Reads the services' own tables as the values of a snapshot."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from sys import intern
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, and_, collate, false, null, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.messages import Money
from checkout_audit.replay import SERVICES
from checkout_audit.rows import (
    DeadLetterRow,
    InboxRow,
    JournalRow,
    LedgerRow,
    OrderRow,
    OutboxRow,
    PaymentRow,
    UnreadableRow,
)
from inventory_service import store as inventory
from inventory_service.domain import Reservation, StockItem
from order_service import store as order
from payment_service import store as payment
from sagakit.message import UNREADABLE, UnknownMessage, Vocabulary, unreadable
from sagakit.postgres.tables import WAITING
from shipping_service import store as shipping
from shipping_service.domain import Shipment

T = TypeVar("T")
METADATA: Final = {
    "order": order.METADATA,
    "inventory": inventory.METADATA,
    "payment": payment.METADATA,
    "shipping": shipping.METADATA,
}
ENTITIES: Final = {
    "order": order.ORDERS,
    "inventory": inventory.RESERVATIONS,
    "payment": payment.PAYMENTS,
    "shipping": shipping.SHIPMENTS,
}
WITH_LEDGER: Final = ("payment", "shipping")
_CHUNK: Final = 2000


@dataclass(frozen=True, slots=True)
class Range:
    """Ids from `low` up to, not including, `high`, compared as bytes; None is no bound.

    A bound sorts the same against `{subject}` and `{subject}/{Name}`, except for the subjects that
    `slicing.beginnings` names.
    """

    low: str | None = None
    high: str | None = None

    def of(self, column: ColumnElement[str]) -> list[ColumnElement[bool]]:
        """The conditions that keep a column within the range."""
        conditions = []
        if self.low is not None:
            conditions.append(column >= self.low)
        if self.high is not None:
            conditions.append(column < self.high)
        return conditions


@dataclass(frozen=True, slots=True)
class Subjects:
    """These subjects, and all ids that begin with one of them: `{subject}/{Name}`."""

    ids: tuple[str, ...]

    def of(self, column: ColumnElement[str]) -> list[ColumnElement[bool]]:
        """The condition that keeps a column among them; "0" is the character after "/"."""
        return [or_(false(), *(and_(column >= one, column < f"{one}0") for one in self.ids))]


@dataclass(frozen=True, slots=True)
class Exactly:
    """These values, of whatever column."""

    values: tuple[str, ...]

    def of(self, column: ColumnElement[str]) -> list[ColumnElement[bool]]:
        """The condition that keeps a column among them."""
        return [column.in_(self.values)]


Among = Range | Subjects
ALL: Final = Range()


async def rows(connection: AsyncConnection, statement: Select[Any], make: Callable[[Any], T]) -> tuple[T, ...]:
    """All rows of a statement as values, streamed, so that no row is in memory twice."""
    return tuple([value async for value in _streamed(connection, statement, make)])


async def _states(
    connection: AsyncConnection,
    service: str,
    statement: Select[Any],
    make: Callable[[Any], T],
    odd: list[UnreadableRow],
) -> tuple[T, ...]:
    """As `rows`; rows that cannot be read are added to `odd`."""

    def read(row: Any) -> T | None:
        try:
            return make(row)
        except UNREADABLE as error:
            odd.append(UnreadableRow(service, row.order_id, unreadable(error)))
            return None

    return tuple(row for row in await rows(connection, statement, read) if row is not None)


async def _streamed(connection: AsyncConnection, statement: Select[Any], make: Callable[[Any], T]) -> AsyncIterator[T]:
    result = await connection.stream(statement)
    async for part in result.partitions(_CHUNK):
        for row in part:
            yield make(row)


async def orders(
    connection: AsyncConnection,
    among: Among | Exactly,
    odd: list[UnreadableRow],
    *,
    brief: bool = False,
    by: str = "order_id",
) -> tuple[OrderRow, ...]:
    """Orders by one of their columns; `brief` leaves out what was ordered. Unreadable ones are added to `odd`."""
    table = order.ORDERS
    left_out = ("checkout", "fingerprint") if brief else ()
    columns = [null().label(column.name) if column.name in left_out else column for column in table.columns]
    statement = select(*columns).where(*among.of(table.c[by]))
    return await _states(
        connection, "order", statement, lambda row: OrderRow(order.read(row), row.settled, row.customer), odd
    )


async def reservations(connection: AsyncConnection, among: Among, odd: list[UnreadableRow]) -> tuple[Reservation, ...]:
    """Reservations by order. Unreadable ones are added to `odd`."""
    table = inventory.RESERVATIONS
    statement = select(table).where(*among.of(table.c.order_id))
    return await _states(connection, "inventory", statement, inventory.RESERVATIONS_ROWS.read, odd)


async def stock(connection: AsyncConnection) -> tuple[StockItem, ...]:
    """All stock items."""
    table = inventory.STOCK.c
    columns = (table.sku, table.received, table.available, table.reserved, table.committed)
    return await rows(connection, select(*columns), lambda row: StockItem(*row))


async def payments(connection: AsyncConnection, among: Among, odd: list[UnreadableRow]) -> tuple[PaymentRow, ...]:
    """Payments by order. Unreadable ones are added to `odd`."""
    table = payment.PAYMENTS
    statement = select(table).where(*among.of(table.c.order_id))
    return await _states(
        connection, "payment", statement, lambda row: PaymentRow(payment.ROWS.read(row), row.amount, row.currency), odd
    )


async def shipments(connection: AsyncConnection, among: Among, odd: list[UnreadableRow]) -> tuple[Shipment, ...]:
    """Shipments by order. Unreadable ones are added to `odd`."""
    table = shipping.SHIPMENTS
    statement = select(table).where(*among.of(table.c.order_id))
    return await _states(connection, "shipping", statement, shipping.ROWS.read, odd)


async def ledger(connection: AsyncConnection, service: str, among: Among) -> tuple[LedgerRow, ...]:
    """The effects that an instant provider recorded in this service's database."""
    table = METADATA[service].tables["ledger"]

    def make(row: Any) -> LedgerRow:
        money = None if row.amount is None else Money(row.amount, row.currency)
        return LedgerRow(row.order_id, row.provider, row.operation, row.outcome, money, row.key, row.at, service)

    return await rows(connection, select(table).where(*among.of(table.c.key)), make)


async def inbox(connection: AsyncConnection, service: str, among: Among, name: str = "") -> tuple[InboxRow, ...]:
    """Claims of commands; with `name`, of one kind of command."""
    table = METADATA[service].tables["inbox"]
    statement = select(table).where(*among.of(table.c.id))
    if name:
        statement = statement.where(table.c.id.endswith(f"/{name}"))
    return await rows(connection, statement, lambda row: InboxRow(row.id, row.cause, row.claimed_at))


async def journal(
    connection: AsyncConnection, service: str, among: Among, name: str = "", brief: bool = False
) -> tuple[JournalRow, ...]:
    """Recorded events; with `name`, of one kind; `brief` leaves out their data."""
    table = METADATA[service].tables["journal"]
    vocabulary = SERVICES[service].vocabulary
    data = null().label("data") if brief else table.c.data
    columns = (table.c.id, table.c.seq, table.c.subject, table.c.name, table.c.command, table.c.recorded_at, data)
    statement = select(*columns).where(*among.of(table.c.id))
    if name:
        statement = statement.where(table.c.name == name)

    def make(row: Any) -> JournalRow:
        identity, seq, subject, kind, command, recorded_at, data = row
        event = None if data is None else _decoded(vocabulary, kind, data)
        return JournalRow(identity, seq, subject, intern(kind), command, event, recorded_at)

    return await rows(connection, statement, make)


def _decoded(vocabulary: Vocabulary, name: str, data: str) -> Any:
    try:
        return vocabulary.decode(name, data)
    except UnknownMessage:
        return None


async def outbox(connection: AsyncConnection, among: Among) -> tuple[OutboxRow, ...]:
    """Messages and calls that are waiting."""
    waiting = WAITING.c
    columns = (waiting.id, waiting.channel, waiting.is_call, waiting.attempts, waiting.created_at)
    return await rows(connection, select(*columns).where(*among.of(waiting.id)), lambda row: OutboxRow(*row))


async def dead_letters(connection: AsyncConnection, service: str, among: Among) -> tuple[DeadLetterRow, ...]:
    """Dead letters that are not resolved."""
    table = METADATA[service].tables["dead_letter"].c
    statement = select(table.id, table.cause, table.at).where(
        table.resolved_at.is_(None), *among.of(collate(table.id, "C"))
    )
    return await rows(connection, statement, lambda row: DeadLetterRow(*row))

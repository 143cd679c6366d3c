"""The inventory database: stock items and reservations, loaded with locks and saved many at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, MetaData, Table, func, text
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.catalogue import CATALOGUE, CURRENCY
from checkout.messages import ReleaseStock, ReserveStock
from inventory_service.domain import NEW, Reservation, Restock, StockItem, StockState
from sagakit.message import Command
from sagakit.ports import RowsLocked
from sagakit.postgres.rows import Cte, EntityRows, EntitySet, held_by_others, lock
from sagakit.postgres.tables import Id, Text, machinery

METADATA: Final = MetaData()
RESERVATIONS: Final = Table(
    "reservations",
    METADATA,
    Column("order_id", Id, primary_key=True),
    Column("status", Text, nullable=False, server_default=NEW),
    Column("closed", Boolean, nullable=False, server_default="false"),
    Column("customer", Text),
    Column("lines", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
STOCK: Final = Table(
    "stock_items",
    METADATA,
    Column("sku", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("available", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False, server_default="0"),
    Column("committed", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("available >= 0 AND reserved >= 0 AND committed >= 0", name="nothing_negative"),
    CheckConstraint("available + reserved + committed = received", name="stock_is_conserved"),
)
machinery(METADATA)

_lines: Final = msgspec.json.Decoder(dict[str, int])


async def seed(connection: AsyncConnection) -> None:
    """Put the first goods on the shelves; what is there already stays as it is."""
    await connection.execute(
        text(
            "INSERT INTO stock_items (sku, name, price, currency, received, available) "
            "SELECT u.sku, u.name, u.price, :currency, u.stock, u.stock FROM unnest(CAST(:skus AS text[]), "
            "CAST(:names AS text[]), CAST(:prices AS bigint[]), CAST(:stocks AS bigint[])) "
            "AS u(sku, name, price, stock) ON CONFLICT (sku) DO NOTHING"
        ),
        {
            "currency": CURRENCY,
            "skus": [product.sku for product in CATALOGUE],
            "names": [product.name for product in CATALOGUE],
            "prices": [product.price for product in CATALOGUE],
            "stocks": [product.stock for product in CATALOGUE],
        },
    )


def read(row: Any) -> Reservation:
    lines = _lines.decode(row.lines) if row.lines else {}
    return Reservation(row.order_id, row.status, lines, row.closed, row.customer or "")


def write(reservation: Reservation) -> dict[str, Any]:
    lines = msgspec.json.encode(reservation.lines).decode() if reservation.lines else None
    return {
        "status": reservation.status,
        "closed": reservation.closed,
        "customer": reservation.customer or None,
        "lines": lines,
    }


_RESERVATIONS: Final = EntityRows(
    table="reservations",
    new=Reservation,
    read=read,
    write=write,
    mutable=(("status", "text"), ("closed", "boolean")),
    write_once=(("customer", "text"), ("lines", "text")),
    created_by=(ReserveStock, ReleaseStock),
)


def named(command: Command | None) -> set[str]:
    """The SKUs that a command names by itself."""
    if isinstance(command, ReserveStock):
        return {line.sku for line in command.checkout.lines}
    return {command.sku} if isinstance(command, Restock) else set()


class StockWorkingSet:
    """A working set of reservations that share stock items: what one order takes, the next one misses."""

    def __init__(self, reservations: EntitySet, items: Mapping[str, StockItem]) -> None:
        self.reservations = reservations
        self.items = dict(items)
        self.moved: set[str] = set()

    def get(self, subject: str, command: Command | None) -> StockState:
        reservation = self.reservations.get(subject, command)
        skus = named(command) | set(reservation.lines)
        return StockState(reservation, {sku: self.items[sku] for sku in skus if sku in self.items})

    def put(self, subject: str, state: StockState) -> None:
        if state.reservation.status != NEW or state.reservation.closed:
            self.reservations.put(subject, state.reservation)
        for sku, item in state.items.items():
            if item is not self.items.get(sku):
                self.items[sku] = item
                self.moved.add(sku)


UPDATE_STOCK: Final = (
    "UPDATE stock_items AS t SET received = u.received, available = u.available, "
    "reserved = u.reserved, committed = u.committed FROM unnest(CAST(:skus AS text[]), "
    "CAST(:received AS bigint[]), CAST(:available AS bigint[]), CAST(:reserved AS bigint[]), "
    "CAST(:committed AS bigint[])) AS u(sku, received, available, reserved, committed) WHERE t.sku = u.sku"
)


class InventoryRows:
    """Locks reservations first, then the stock items that they or the commands name, each sorted."""

    def placeholders(self, commands: Sequence[Command]) -> Cte | None:
        return _RESERVATIONS.placeholders(commands)

    async def load(
        self, connection: AsyncConnection, commands: Sequence[Command], nudged: Sequence[str]
    ) -> StockWorkingSet:
        about_orders = [command for command in commands if not isinstance(command, Restock)]
        reservations = await _RESERVATIONS.load(connection, about_orders, nudged)
        needs = [
            (command.subject, named(command) | set(reservations.get(command.subject, command).lines))
            for command in commands
        ]
        skus = sorted({sku for _, wanted in needs for sku in wanted})
        rows = await lock(connection, "stock_items", "sku", "received, available, reserved, committed", skus)
        items = {row.sku: StockItem(*row) for row in rows}
        missing = [sku for sku in skus if sku not in items]
        if held := set(await held_by_others(connection, "stock_items", "sku", missing)):
            raise RowsLocked(frozenset(subject for subject, wanted in needs if wanted & held))
        return StockWorkingSet(reservations, items)

    def changes(self, working: StockWorkingSet) -> list[Cte]:
        parts = _RESERVATIONS.changes(working.reservations)
        if working.moved:
            items = [working.items[sku] for sku in sorted(working.moved)]
            values = {
                "skus": [item.sku for item in items],
                "received": [item.received for item in items],
                "available": [item.available for item in items],
                "reserved": [item.reserved for item in items],
                "committed": [item.committed for item in items],
            }
            parts.append(Cte("shelved", UPDATE_STOCK, values))
        return parts

"""The inventory database: stock items and reservations. Rows are locked when loaded, and saved many at a time."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, MetaData, Table, func, text
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.catalogue import CATALOGUE, CURRENCY
from checkout.messages import ReleaseStock, ReserveStock
from inventory_service.domain import NEW, Reservation, Restock, StockItem, StockState
from inventory_service.retention import RETENTION
from sagakit.message import Command
from sagakit.ports import RowsLocked
from sagakit.postgres.entities import EntityRows, EntitySet
from sagakit.postgres.retention import FinalRows
from sagakit.postgres.rows import Cte, claim_and_lock, held_by_others, locked
from sagakit.postgres.session import Session
from sagakit.postgres.tables import ROOM, Id, Text, machinery, unpruned

METADATA: Final = MetaData()
RESERVATIONS: Final = Table(
    "reservations",
    METADATA,
    Column("order_id", Id, primary_key=True),
    Column("status", Text, nullable=False, server_default=NEW),
    Column("closed", Boolean, nullable=False, server_default="false"),
    Column("customer", Text),
    Column("lines", Text),
    Column("pruned", Boolean, nullable=False, server_default="false"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    postgresql_with=ROOM,
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
unpruned(RESERVATIONS)
machinery(METADATA)


async def seed(connection: AsyncConnection) -> None:
    """Insert the stock items of the catalogue; existing ones stay as they are."""
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


RESERVATIONS_ROWS: Final = EntityRows(
    RESERVATIONS, Reservation, write_once=("customer", "lines"), created_by=(ReserveStock, ReleaseStock)
)
FINAL_ROWS: Final = FinalRows(RESERVATIONS_ROWS, lambda reservation: RETENTION.ended(StockState(reservation, {})))


def skus_named_by(command: Command | None) -> set[str]:
    """The SKUs that the command itself names."""
    if isinstance(command, ReserveStock):
        return {line.sku for line in command.checkout.lines}
    return {command.sku} if isinstance(command, Restock) else set()


class StockWorkingSet:
    """A working set of reservations that share stock items: what one order takes is gone for the next."""

    def __init__(self, reservations: EntitySet, items: Mapping[str, StockItem]) -> None:
        self.reservations = reservations
        self.items = dict(items)
        self.moved: set[str] = set()

    def get(self, subject: str, command: Command | None) -> StockState:
        """The reservation of `subject`, with the stock items that it or `command` names."""
        reservation = self.reservations.get(subject, command)
        skus = skus_named_by(command) | set(reservation.lines)
        return StockState(reservation, {sku: self.items[sku] for sku in skus if sku in self.items})

    def put(self, subject: str, state: StockState) -> None:
        """Keep the state after an event."""
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
    """Loads and saves reservations with their stock items. Rows are locked in one order: reservations, then items."""

    async def load(
        self, session: Session, commands: Sequence[Command], nudged: Sequence[str], claim: Cte | None
    ) -> tuple[set[str], StockWorkingSet]:
        """Execute `claim`; lock and load the reservations, and the stock items that they or the commands name.

        Raises:
            RowsLocked: Another transaction holds some of the rows; it names the subjects concerned.
        """
        about_orders = [command for command in commands if not isinstance(command, Restock)]
        fresh, reservations = await RESERVATIONS_ROWS.load(session, about_orders, nudged, claim)
        needs = [
            (command.subject, skus_named_by(command) | set(reservations.get(command.subject, command).lines))
            for command in commands
        ]
        skus = sorted({sku for _, names in needs for sku in names})
        columns = ("received", "available", "reserved", "committed")
        _, rows = await claim_and_lock(session, None, locked("stock_items", "sku", columns, skus))
        items = {row[0]: StockItem(*row) for row in rows}
        missing = [sku for sku in skus if sku not in items]
        if held := set(await held_by_others(session, "stock_items", "sku", missing)):
            raise RowsLocked(frozenset(subject for subject, names in needs if names & held))
        return fresh, StockWorkingSet(reservations, items)

    def changes(self, working: StockWorkingSet) -> list[Cte]:
        """The statements that write what has changed."""
        parts = RESERVATIONS_ROWS.changes(working.reservations)
        if working.moved:
            items = [working.items[sku] for sku in sorted(working.moved)]
            values = {
                "skus": [item.sku for item in items],
                "received": [item.received for item in items],
                "available": [item.available for item in items],
                "reserved": [item.reserved for item in items],
                "committed": [item.committed for item in items],
            }
            parts.append(Cte("updated_stock", UPDATE_STOCK, values))
        return parts

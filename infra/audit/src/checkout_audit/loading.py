"""Loading: each database in one REPEATABLE READ READ ONLY transaction, in slices of bounded size."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from checkout.catalogue import CATALOGUE
from checkout.messages import SERVICES
from checkout_audit import tables
from checkout_audit.conservation import StockTotals
from checkout_audit.errors import DatabaseUnreachable, Unreachable
from checkout_audit.ledger import Ledger
from checkout_audit.rows import OrderRow, Records, UnreadableRow, subject_of
from checkout_audit.slicing import SLICE
from checkout_audit.snapshot import ClientObservation, Snapshot
from checkout_audit.sources import Bundle, bundles, subjects_since
from checkout_audit.tables import ALL, Among, Exactly, Subjects
from inventory_service.domain import StockItem

HELD: Final = (
    "SELECT r.status, l.key, sum(CAST(l.value AS bigint)) FROM reservations AS r, "
    "json_each_text(CAST(r.lines AS json)) AS l WHERE r.lines IS NOT NULL GROUP BY r.status, l.key"
)
_DATA_EXCEPTION: Final = "22"  # the class of PostgreSQL's error codes
_SERVER_SETTINGS: Final = {
    "application_name": "checkout_audit",
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
}


@asynccontextmanager
async def connections(
    databases: Mapping[str, str], moment: Mapping[str, str] | None = None
) -> AsyncIterator[Mapping[str, AsyncConnection]]:
    """One connection per service, in a transaction that only reads and sees one moment: now, or an earlier `moment`.

    Raises:
        DatabaseUnreachable: A database cannot be read, now or while the connections are in use.
        Unreachable: The address of a database is not known, or not valid.
    """
    async with AsyncExitStack() as stack:
        opened: dict[str, AsyncConnection] = {}
        for service in SERVICES:
            try:
                engine = engine_of(databases[service])
                stack.push_async_callback(engine.dispose)
                opened[service] = await stack.enter_async_context(engine.connect())
                first = f"SET TRANSACTION SNAPSHOT '{moment[service]}'" if moment else "SELECT 1"
                await opened[service].execute(text(first))
            except KeyError:
                raise Unreachable(
                    f"the address of the {service} database is not known; set {service.upper()}_DATABASE_URL"
                ) from None
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                raise DatabaseUnreachable(f"the {service} database", error) from error
        try:
            yield opened
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise DatabaseUnreachable("a database", error) from error


def engine_of(url: str) -> AsyncEngine:
    """An engine without a pool, whose transactions see one moment and cannot write.

    Raises:
        Unreachable: The URL is not valid.
    """
    try:
        return create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
            connect_args={"timeout": 5, "command_timeout": 120, "server_settings": _SERVER_SETTINGS},
        )
    except ArgumentError as error:
        raise Unreachable("a database's URL cannot be read; it looks like postgresql://user:password@host/name") from (
            error
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads snapshots of one moment of the four databases, with the sandbox's ledger, which is None if it is unread."""

    at: Mapping[str, AsyncConnection]
    ledger: Ledger | None

    async def moment(self) -> Mapping[str, str]:
        """The moment that these connections see, for others, while these are open."""
        export = text("SELECT pg_export_snapshot()")
        return {service: str(await connection.scalar(export)) for service, connection in self.at.items()}

    async def changed(self, since: datetime) -> list[str]:
        """The subjects about which anything was recorded, claimed, placed or booked since, sorted."""

        async def of(service: str) -> set[str]:
            found: set[str] = set()
            for statement in subjects_since(service, since):
                found.update([row[0] for row in await self.at[service].execute(statement)])
            return found

        return sorted(set[str]().union(*await asyncio.gather(*map(of, SERVICES))))

    async def totals(self) -> StockTotals:
        """What all reservations hold, and all that was received, added up by the database.

        Raises:
            Unreachable: The lines of a reservation are no quantities by SKU.
            DBAPIError: The database cannot be read: `connections` turns it into `DatabaseUnreachable`.
        """
        totals = StockTotals()
        try:
            held = await self.at["inventory"].execute(text(HELD))
        except DBAPIError as error:
            if not str(getattr(error.orig, "sqlstate", "")).startswith(_DATA_EXCEPTION):
                raise
            raise Unreachable(
                "the lines of a reservation in the inventory database cannot be added up; "
                "make audit without SINCE names the order"
            ) from None
        for status, sku, quantity in held:
            totals.hold(status, {sku: int(quantity)})
        received = await tables.journal(self.at["inventory"], "inventory", ALL, name="StockReceived")
        totals.add(Snapshot(services={"inventory": Records(journal=received)}))
        return totals

    async def with_shared_keys(self) -> Snapshot:
        """The orders whose customer and Idempotency-Key another order has too."""
        table = tables.ENTITIES["order"].c
        shared = select(table.idempotency_key).group_by(table.customer, table.idempotency_key).having(func.count() > 1)
        keys = [str(key) for (key,) in await self.at["order"].execute(shared) if key is not None]
        same = Exactly(tuple(keys))
        return Snapshot(orders=await tables.orders(self.at["order"], same, [], brief=True, by="idempotency_key"))

    def initial(self) -> Mapping[str, int]:
        """The stock at first, by SKU."""
        return {product.sku: product.stock for product in CATALOGUE}

    async def stock(self) -> tuple[StockItem, ...]:
        """All stock items."""
        return await tables.stock(self.at["inventory"])

    async def work_left(self) -> Snapshot:
        """The outboxes and dead letters, and what was claimed about the calls that wait."""
        services = {}
        for service, connection in self.at.items():
            outbox = await tables.outbox(connection, ALL)
            calls = Subjects(tuple(sorted({subject_of(row.id) for row in outbox if row.is_call})))
            services[service] = Records(
                inbox=await tables.inbox(connection, service, calls) if calls.ids else (),
                outbox=outbox,
                dead_letters=await tables.dead_letters(connection, service, ALL),
            )
        return Snapshot(services=services)

    async def told(self, history: Sequence[ClientObservation]) -> Snapshot:
        """The orders that clients were told about, and what they were told."""
        ids = sorted({one.order_id for one in history if one.order_id is not None})
        keys = sorted({one.key for one in history})
        rows: dict[str, OrderRow] = {}
        for column, values in (("order_id", ids), ("idempotency_key", keys)):
            for first in range(0, len(values), SLICE):
                some = Exactly(tuple(values[first : first + SLICE]))
                found = await tables.orders(self.at["order"], some, [], brief=True, by=column)
                rows.update((row.order_id, row) for row in found)
        return Snapshot(orders=tuple(rows.values()), history=tuple(history))

    async def bundles(self, among: Among) -> dict[bytes, Bundle]:
        """The same rows as `slice` reads, undecoded, by subject. Raises Unmarkable."""
        return await bundles(self.at, among, self.ledger.among(among) if self.ledger else ())

    async def slice(self, among: Among) -> Snapshot:
        """Everything about the subjects in a range, and the dead letters whose ids are in it."""
        at = self.at
        records = dict(
            zip(SERVICES, await asyncio.gather(*(self._records(service, among) for service in SERVICES)), strict=True)
        )
        odd: list[UnreadableRow] = []
        orders, reservations, payments, shipments = await asyncio.gather(
            tables.orders(at["order"], among, odd),
            tables.reservations(at["inventory"], among, odd),
            tables.payments(at["payment"], among, odd),
            tables.shipments(at["shipping"], among, odd),
        )
        instant = [await tables.ledger(at[service], service, among) for service in tables.WITH_LEDGER]
        sandbox = self.ledger.among(among) if self.ledger else ()
        return Snapshot(
            orders=orders,
            reservations=reservations,
            payments=payments,
            shipments=shipments,
            services=records,
            ledger=(*sandbox, *(row for rows in instant for row in rows)),
            sandbox_read=self.ledger is not None,
            unreadable=tuple(odd),
        )

    async def _records(self, service: str, among: Among) -> Records:
        connection = self.at[service]
        return Records(
            inbox=await tables.inbox(connection, service, among),
            journal=await tables.journal(connection, service, among),
            outbox=await tables.outbox(connection, among),
            dead_letters=await tables.dead_letters(connection, service, among),
        )


async def load(databases: Mapping[str, str], ledger: Ledger | None) -> Snapshot:
    """Everything in one snapshot, if the data fit into memory (some 30 KB per order)."""
    async with connections(databases) as at:
        reader = Reader(at, ledger)
        everything = await reader.slice(ALL)
        stock = await tables.stock(at["inventory"])
    initial = {product.sku: product.stock for product in CATALOGUE}
    return replace(everything, stock=stock, initial=initial)

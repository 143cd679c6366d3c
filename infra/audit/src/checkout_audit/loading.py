"""Loading: each database in one REPEATABLE READ READ ONLY transaction, in slices of bounded size."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from checkout.catalogue import CATALOGUE
from checkout.messages import SERVICES
from checkout_audit import tables
from checkout_audit.errors import DatabaseUnreachable, Unreachable
from checkout_audit.ledger import Ledger
from checkout_audit.rows import Records
from checkout_audit.snapshot import Snapshot
from checkout_audit.tables import ALL, Range

SLICE: Final = 2500  # orders
_MAX_SLICES: Final = 4096
_SERVER_SETTINGS: Final = {
    "application_name": "checkout_audit",
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
}


def ranges(subjects: int, size: int = SLICE) -> list[Range]:
    """Ranges that cover all ids, each with about `size` of the `subjects`, whose hexadecimal ids are spread evenly."""
    count = max(1, min(ceil(subjects / size), _MAX_SLICES))
    bounds = [format(number * 0x10000 // count, "04x") for number in range(1, count)]
    return [Range(low, high) for low, high in zip([None, *bounds], [*bounds, None], strict=True)]


@asynccontextmanager
async def connections(databases: Mapping[str, str]) -> AsyncIterator[Mapping[str, AsyncConnection]]:
    """One connection per service, in a transaction that only reads and sees one moment.

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
                await opened[service].execute(text("SELECT 1"))
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

    async def subjects(self) -> int:
        """About how many subjects there are: the greatest number of rows of any service."""

        async def count(service: str) -> int:
            statement = select(func.count()).select_from(tables.ENTITIES[service])
            return int(await self.at[service].scalar(statement) or 0)

        return max(await asyncio.gather(*(count(service) for service in SERVICES)))

    async def whole(self) -> Snapshot:
        """What concerns all orders together: which were accepted, their keys, and the stock that they hold."""
        orders, inventory = self.at["order"], self.at["inventory"]
        accepted = Records(
            inbox=await tables.inbox(orders, "order", ALL, name="PlaceOrder"),
            journal=await tables.journal(orders, "order", ALL, name="OrderPlaced", brief=True),
        )
        restocked = Records(journal=await tables.journal(inventory, "inventory", ALL, name="StockReceived"))
        return Snapshot(
            orders=await tables.orders(orders, ALL, brief=True),
            reservations=await tables.reservations(inventory, ALL),
            stock=await tables.stock(inventory),
            services={**dict.fromkeys(SERVICES, Records()), "order": accepted, "inventory": restocked},
            initial={product.sku: product.stock for product in CATALOGUE},
        )

    async def slice(self, among: Range) -> Snapshot:
        """Everything about the subjects in a range, and the dead letters whose ids are in it."""
        at = self.at
        records = dict(
            zip(SERVICES, await asyncio.gather(*(self._records(service, among) for service in SERVICES)), strict=True)
        )
        orders, reservations, payments, shipments = await asyncio.gather(
            tables.orders(at["order"], among),
            tables.reservations(at["inventory"], among),
            tables.payments(at["payment"], among),
            tables.shipments(at["shipping"], among),
        )
        instant = [await tables.ledger(at[service], service, among) for service in tables.WITH_LEDGER]
        sandbox = self.ledger.between(among.low, among.high) if self.ledger else ()
        return Snapshot(
            orders=orders,
            reservations=reservations,
            payments=payments,
            shipments=shipments,
            services=records,
            ledger=(*sandbox, *(row for rows in instant for row in rows)),
            sandbox_read=self.ledger is not None,
        )

    async def _records(self, service: str, among: Range) -> Records:
        connection = self.at[service]
        return Records(
            inbox=await tables.inbox(connection, service, among),
            journal=await tables.journal(connection, service, among),
            outbox=await tables.outbox(connection, service, among),
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

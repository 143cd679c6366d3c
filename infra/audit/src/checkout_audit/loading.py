"""Loading: each database in one REPEATABLE READ READ ONLY transaction, as a whole or in slices of bounded size."""

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
from checkout_audit.errors import Unreachable
from checkout_audit.ledger import Ledger
from checkout_audit.snapshot import Records, Snapshot
from checkout_audit.tables import ALL, Range

SLICE: Final = 2500
_MOST_SLICES: Final = 4096
_SERVER_SETTINGS: Final = {
    "application_name": "checkout_audit",
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
}


def ranges(subjects: int, size: int = SLICE) -> list[Range]:
    """Ranges that cover all ids, each with about `size` of so many evenly spread hexadecimal subjects."""
    count = max(1, min(ceil(subjects / size), _MOST_SLICES))
    bounds = [format(number * 0x10000 // count, "04x") for number in range(1, count)]
    return [Range(low, high) for low, high in zip([None, *bounds], [*bounds, None], strict=True)]


@asynccontextmanager
async def connections(databases: Mapping[str, str]) -> AsyncIterator[Mapping[str, AsyncConnection]]:
    """One connection per service, in a transaction that only reads and sees one moment. Raises Unreachable."""
    async with AsyncExitStack() as stack:
        found: dict[str, AsyncConnection] = {}
        for service in SERVICES:
            try:
                engine = engine_of(databases[service])
                stack.push_async_callback(engine.dispose)
                found[service] = await stack.enter_async_context(engine.connect())
                await found[service].execute(text("SELECT 1"))
            except KeyError:
                raise Unreachable(
                    f"the address of the {service} database is not known; set {service.upper()}_DATABASE_URL"
                ) from None
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                raise unreachable(service, error) from error
        try:
            yield found
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise unreachable("a", error) from error


def unreachable(service: str, error: BaseException) -> Unreachable:
    """In one line: which database, why, and what to do about it."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()
    article = "" if service == "a" else "the "
    return Unreachable(
        f"{article}{service} database cannot be read ({reason[0] if reason else type(error).__name__}); "
        "start the stack with: make up"
    )


def engine_of(url: str) -> AsyncEngine:
    """An engine without a pool, whose transactions see one moment and cannot write. Raises Unreachable."""
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
    """Reads snapshots from one moment of the four databases, and the sandbox's ledger (None: it is not to be had)."""

    at: Mapping[str, AsyncConnection]
    ledger: Ledger | None

    async def subjects(self) -> int:
        """How many there are, about: the most rows that any service has."""

        async def count(service: str) -> int:
            statement = select(func.count()).select_from(tables.ENTITIES[service])
            return int(await self.at[service].scalar(statement) or 0)

        return max(await asyncio.gather(*(count(service) for service in SERVICES)))

    async def whole(self) -> Snapshot:
        """Of all orders what concerns them together: that they were accepted, their keys, and the stock they hold."""
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
        """Everything about the subjects in a range, and the dead letters whose ids lie in it."""
        at = self.at
        records = dict(
            zip(SERVICES, await asyncio.gather(*(self._records(one, among) for one in SERVICES)), strict=True)
        )
        orders, reservations, payments, shipments = await asyncio.gather(
            tables.orders(at["order"], among),
            tables.reservations(at["inventory"], among),
            tables.payments(at["payment"], among),
            tables.shipments(at["shipping"], among),
        )
        written = [await tables.ledger(at[service], service, among) for service in tables.WITH_LEDGER]
        sandbox = self.ledger.between(among.low, among.high) if self.ledger else ()
        return Snapshot(
            orders=orders,
            reservations=reservations,
            payments=payments,
            shipments=shipments,
            services=records,
            ledger=(*sandbox, *(row for rows in written for row in rows)),
            sandbox_seen=self.ledger is not None,
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
    """Everything in one snapshot: for stacks whose data fit into memory (some 30 KB per order). Raises Unreachable."""
    async with connections(databases) as at:
        reader = Reader(at, ledger)
        everything = await reader.slice(ALL)
        stock = await tables.stock(at["inventory"])
    initial = {product.sku: product.stock for product in CATALOGUE}
    return replace(everything, stock=stock, initial=initial)

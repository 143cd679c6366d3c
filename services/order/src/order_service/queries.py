"""What the order service only reads: orders by id and in pages, their transitions, and prices."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from checkout.messages import Money, OrderPlaced
from sagakit.app.queries import DataLoader
from sagakit.message import id_of
from sagakit.postgres.connection import connected

COLUMNS: Final = "order_id, customer, status, settled, cancellation_reason, checkout, fingerprint, created_at"
PLACED: Final = "checkout IS NOT NULL"  # neither a placeholder nor an order that was never placed; of no index
BY_ID: Final = f"SELECT {COLUMNS} FROM orders WHERE order_id = ANY(CAST(:ids AS text[])) AND {PLACED}"
DIGEST: Final = "md5((customer || chr(10)) || idempotency_key)"  # as PostgreSQL tells the index `orders_by_key`
FIRST_UNDER: Final = (
    f"SELECT {DIGEST} AS digest, order_id, fingerprint, checkout, pruned FROM orders "
    f"WHERE {DIGEST} = ANY(CAST(:ids AS text[]))"
)
GATHER: Final = 0.05  # seconds in which refused clients gather for one question to the database
TRANSITIONS: Final = text(
    "SELECT seq, name, recorded_at FROM journal WHERE id >= :low AND id < :high AND seq > :seq ORDER BY seq"
)
TRACES: Final = text("SELECT subject, traceparent FROM journal WHERE id = ANY(:ids)")
PRICES: Final = text("SELECT sku, price, currency FROM catalogue")


class OrderQueries(DataLoader):
    """Reads of the order database: placed orders by id, and more. Rows of orders have the columns in COLUMNS."""

    def __init__(self, database: AsyncEngine) -> None:
        super().__init__(database, BY_ID)
        self._prices: dict[str, Money] = {}
        self._first_under, self._gathered = (DataLoader(database, FIRST_UNDER, pause) for pause in (0.0, GATHER))

    async def first_under(self, customer: str, key: str, hurry: bool) -> Any:
        """The row of this customer's order under this key, as in FIRST_UNDER; None if there is none.

        Without `hurry` questions gather for a moment, where many are asked in vain.
        """
        return await (self._first_under if hurry else self._gathered).get(digest(customer, key))

    async def page(
        self, customer: str | None, status: str | None, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Any]:
        """At most `limit` placed orders, newest first.

        `customer` and `status` filter, None does not; `after` is the creation time and id of the last row before.
        """
        where, values = [PLACED], dict[str, Any](limit=limit)
        if customer is not None:
            where.append("customer = :customer")
            values["customer"] = customer
        if status is not None:
            where.append("status = :status")
            values["status"] = status
        if after is not None:
            where.append("(created_at, order_id) < (CAST(:at AS timestamptz), :last)")
            values["at"], values["last"] = after
        statement = text(
            f"SELECT {COLUMNS} FROM orders WHERE {' AND '.join(where)} "
            "ORDER BY created_at DESC, order_id DESC LIMIT :limit"
        )
        async with connected(self._database) as connection:
            return (await connection.execute(statement, values)).all()

    async def transitions(self, order_id: str, after: int) -> Sequence[Any]:
        """The order's recorded events with `seq` greater than `after`, oldest first: seq, name, recorded_at."""
        values = {"low": f"{order_id}/", "high": f"{order_id}0", "seq": after}  # "0" is the character after "/"
        async with connected(self._database) as connection:
            return (await connection.execute(TRANSITIONS, values)).all()

    async def trace_context(self, order_id: str) -> str | None:
        """The trace context with which the order was placed."""
        async with connected(self._database) as connection:
            return (await trace_contexts(connection, [order_id])).get(order_id)

    async def price(self, sku: str) -> Money | None:
        """The price of one piece, or None if the catalogue lacks the SKU. The catalogue is read once per process."""
        if not self._prices:
            async with connected(self._database) as connection:
                rows = await connection.execute(PRICES)
                self._prices = {row.sku: Money(row.price, row.currency) for row in rows}
        return self._prices.get(sku)


async def trace_contexts(connection: AsyncConnection, order_ids: Iterable[str]) -> Mapping[str, str | None]:
    """The trace contexts with which the orders were placed: what is done for them later belongs to the same traces."""
    ids = [id_of(order_id, OrderPlaced) for order_id in order_ids]
    return {row.subject: row.traceparent for row in await connection.execute(TRACES, {"ids": ids})} if ids else {}


def digest(customer: str, key: str) -> str:
    """What the database computes as DIGEST; both are printable, so no other two have the same text."""
    return hashlib.md5(f"{customer}\n{key}".encode(), usedforsecurity=False).hexdigest()

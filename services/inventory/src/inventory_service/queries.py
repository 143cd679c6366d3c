"""What the inventory service only reads: stock items by SKU and in pages, and whose reservation it is."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.app.operations import DataLoader, fetcher
from sagakit.postgres.connection import connected

COLUMNS: Final = "sku, name, price, currency, received, available, reserved, committed"
BY_SKU: Final = f"SELECT {COLUMNS} FROM stock_items WHERE sku = ANY(CAST(:ids AS text[]))"
PAGE: Final = text(f"SELECT {COLUMNS} FROM stock_items WHERE sku > :after ORDER BY sku LIMIT :limit")
OWNERS: Final = "SELECT order_id, customer FROM reservations WHERE order_id = ANY(CAST(:ids AS text[]))"


class StockQueries:
    """Reads of the inventory database, each a statement of its own. Rows of stock have the columns in COLUMNS."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database.execution_options(isolation_level="AUTOCOMMIT")
        self._by_sku: DataLoader[Any] = DataLoader(fetcher(database, BY_SKU))
        self._owners: DataLoader[Any] = DataLoader(fetcher(database, OWNERS))

    async def item(self, sku: str) -> Any:
        """The row of a stock item, or None. Calls that arrive together share a query."""
        return await self._by_sku.get(sku) if sku.isprintable() else None

    async def page(self, after: str, limit: int) -> Sequence[Any]:
        """At most `limit` stock items whose SKU is greater than `after`, by SKU."""
        async with connected(self._database) as connection:
            return (await connection.execute(PAGE, {"after": after, "limit": limit})).all()

    async def owner(self, order_id: str) -> str | None:
        """The customer whose reservation it is, or None."""
        row = await self._owners.get(order_id)
        return row.customer if row else None

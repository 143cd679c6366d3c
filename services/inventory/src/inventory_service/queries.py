"""What the inventory service only reads: stock items by SKU and in pages, and whose reservation it is."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.app.queries import DataLoader
from sagakit.postgres.connection import connected

COLUMNS: Final = "sku, name, price, currency, received, available, reserved, committed"
BY_SKU: Final = f"SELECT {COLUMNS} FROM stock_items WHERE sku = ANY(CAST(:ids AS text[]))"
PAGE: Final = text(f"SELECT {COLUMNS} FROM stock_items WHERE sku > :after ORDER BY sku LIMIT :limit")
OWNERS: Final = "SELECT order_id, customer FROM reservations WHERE order_id = ANY(CAST(:ids AS text[]))"


class StockQueries(DataLoader):
    """Reads of the inventory database: stock items by SKU, and more. Rows of stock have the columns in COLUMNS."""

    def __init__(self, database: AsyncEngine) -> None:
        super().__init__(database, BY_SKU)
        self.reservations = DataLoader(database, OWNERS)

    async def page(self, after: str, limit: int) -> Sequence[Any]:
        """At most `limit` stock items whose SKU is greater than `after`, by SKU."""
        async with connected(self._database) as connection:
            return (await connection.execute(PAGE, {"after": after, "limit": limit})).all()

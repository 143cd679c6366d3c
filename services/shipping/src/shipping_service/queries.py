"""What the shipping service only reads: shipments by order."""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.app.operations import DataLoader, fetcher
from shipping_service.domain import NEW

BY_ORDER: Final = (
    "SELECT order_id, status, customer FROM shipments "
    f"WHERE order_id = ANY(CAST(:ids AS text[])) AND status <> '{NEW}' AND customer IS NOT NULL"
)


class ShipmentQueries:
    """Reads of the shipping database. Calls that arrive together share a query."""

    def __init__(self, database: AsyncEngine) -> None:
        self._by_order: DataLoader[Any] = DataLoader(fetcher(database, BY_ORDER))

    async def shipment(self, order_id: str) -> Any:
        """The row of the order's shipment, or None: order_id, status, customer."""
        return await self._by_order.get(order_id)

    async def owner(self, order_id: str) -> str | None:
        """The customer whose shipment it is, or None."""
        row = await self.shipment(order_id)
        return row.customer if row else None

"""What the payment service only reads: payments by order."""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from payment_service.domain import NEW
from sagakit.app.operations import DataLoader, fetcher

BY_ORDER: Final = (
    "SELECT order_id, status, open, customer, amount, currency FROM payments "
    f"WHERE order_id = ANY(CAST(:ids AS text[])) AND status <> '{NEW}' AND customer IS NOT NULL"
)


class PaymentQueries:
    """Reads of the payment database. Calls that arrive together share a query."""

    def __init__(self, database: AsyncEngine) -> None:
        self._by_order: DataLoader[Any] = DataLoader(fetcher(database, BY_ORDER))

    async def payment(self, order_id: str) -> Any:
        """The row of the order's payment, or None: order_id, status, open, customer, amount, currency."""
        return await self._by_order.get(order_id)

    async def owner(self, order_id: str) -> str | None:
        """The customer whose payment it is, or None."""
        row = await self.payment(order_id)
        return row.customer if row else None

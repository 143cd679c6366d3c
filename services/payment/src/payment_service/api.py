"""The payment service over HTTP: one payment, its timeline, and what needs attention."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from payment_service.domain import NEW
from sagakit.app.host import ServiceContext
from sagakit.app.operations import Anyone, DataLoader, fetcher, operations_router
from sagakit.web.app import JsonResponse, not_found

PAYMENTS: Final = (
    "SELECT order_id, status, open, customer, amount, currency FROM payments "
    f"WHERE order_id = ANY(CAST(:ids AS text[])) AND status <> '{NEW}' AND customer IS NOT NULL"
)


def router(context: ServiceContext) -> APIRouter:
    """All routes of the payment service."""
    rows: DataLoader[Any] = DataLoader(fetcher(context.database, PAYMENTS))

    async def owner(order_id: str) -> str | None:
        row = await rows.get(order_id)
        return row.customer if row else None

    async def payment(order_id: str, caller: Anyone) -> Response:
        """The payment of one order; `settled` when no call to the provider is open."""
        row = await rows.get(order_id)
        if row is None or not (caller.is_admin or row.customer == caller.subject):
            raise not_found("No payment for such an order.")
        return JsonResponse(
            {
                "order_id": row.order_id,
                "status": row.status,
                "settled": not row.open,
                "amount": {"amount": row.amount, "currency": row.currency},
            }
        )

    routes = APIRouter()
    routes.add_api_route("/payments/{order_id}", payment, methods=["GET"], tags=["payments"])
    routes.include_router(operations_router(context, owner))
    return routes

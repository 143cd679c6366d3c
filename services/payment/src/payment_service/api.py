"""The payment service over HTTP: one payment, its timeline, and what needs attention."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from payment_service.queries import PaymentQueries
from sagakit.app.host import ServiceContext
from sagakit.app.operations import Anyone, operations_router
from sagakit.web.app import JsonResponse, NotFound, Principal


def router(context: ServiceContext) -> APIRouter:
    """All routes of the payment service."""
    payments = Payments(PaymentQueries(context.database))
    routes = APIRouter()
    routes.add_api_route("/payments/{order_id}", payments.payment, methods=["GET"], tags=["payments"])
    routes.include_router(operations_router(context, payments.queries.owner))
    return routes


class Payments:
    """The handlers of the routes. Their docstrings are shown in the interface's documentation."""

    def __init__(self, queries: PaymentQueries) -> None:
        self.queries = queries

    async def payment(self, order_id: str, caller: Anyone) -> Response:
        """Show the payment of one order; `settled` says that no call to the provider is open."""
        row = await self._visible(order_id, caller)
        return JsonResponse(
            {
                "order_id": row.order_id,
                "status": row.status,
                "settled": not row.open,
                "amount": {"amount": row.amount, "currency": row.currency},
            }
        )

    async def _visible(self, order_id: str, caller: Principal) -> Any:
        row = await self.queries.payment(order_id)
        if row is None or not (caller.is_admin or row.customer == caller.subject):
            raise NotFound("No payment for such an order.")
        return row

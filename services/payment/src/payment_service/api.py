"""The payment service over HTTP: one payment, its timeline, and what needs attention."""

from fastapi import APIRouter
from starlette.responses import Response

from checkout.messages import Money
from payment_service.documents import Payment
from payment_service.queries import BY_ORDER
from sagakit.app.documents import ORDER_EXAMPLE
from sagakit.app.host import ServiceContext
from sagakit.app.operations import operations_router
from sagakit.app.queries import DataLoader
from sagakit.web.app import Anyone, JsonResponse
from sagakit.web.documents import described


def router(context: ServiceContext) -> APIRouter:
    """All routes of the payment service."""
    payments, routes = DataLoader(context.database, BY_ORDER), APIRouter()

    async def payment(order_id: str, caller: Anyone) -> Response:
        """Show the payment of one order; `settled` says that no call to the provider is open."""
        row = await payments.get_for(caller, order_id, "No payment for such an order.")
        amount = Money(row.amount, row.currency)
        return JsonResponse(Payment(order_id=row.order_id, status=row.status, settled=not row.open, amount=amount))

    about = described("get_payment", {200: Payment}, tag="payments", examples=ORDER_EXAMPLE)
    routes.add_api_route("/payments/{order_id}", payment, methods=["GET"], **about)
    routes.include_router(operations_router(context, payments.owner))
    return routes

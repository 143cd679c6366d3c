"""The shipping service over HTTP: one shipment, its timeline, and what needs attention."""

from fastapi import APIRouter
from starlette.responses import Response

from sagakit.app.documents import ORDER_EXAMPLE
from sagakit.app.host import ServiceContext
from sagakit.app.operations import operations_router
from sagakit.app.queries import DataLoader
from sagakit.web.app import Anyone, JsonResponse, Problem
from sagakit.web.documents import described
from shipping_service.documents import PENDING, Shipment
from shipping_service.domain import BOOKING
from shipping_service.queries import BY_ORDER


def router(context: ServiceContext) -> APIRouter:
    """All routes of the shipping service."""
    shipments, routes = DataLoader(context.database, BY_ORDER), APIRouter()

    async def shipment(order_id: str, caller: Anyone) -> Response:
        """Show the shipment of one order. 404 `shipment_pending` until the carrier has answered."""  # noqa: DOC501 - shown to clients
        row = await shipments.get_for(caller, order_id, "No shipment for such an order.")
        if row.status == BOOKING:
            raise Problem(404, "shipment_pending", "The carrier has not answered yet.")
        return JsonResponse(Shipment(order_id=row.order_id, status=row.status))

    about = described("get_shipment", {200: Shipment}, PENDING, tag="shipments", examples=ORDER_EXAMPLE)
    routes.add_api_route("/shipments/{order_id}", shipment, methods=["GET"], **about)
    routes.include_router(operations_router(context, shipments.owner))
    return routes

"""The shipping service over HTTP: one shipment, its timeline, and what needs attention."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from sagakit.app.host import ServiceContext
from sagakit.app.operations import Anyone, operations_router
from sagakit.web.app import JsonResponse, NotFound, Principal, Problem
from shipping_service.domain import BOOKING
from shipping_service.queries import ShipmentQueries


def router(context: ServiceContext) -> APIRouter:
    """All routes of the shipping service."""
    shipments = Shipments(ShipmentQueries(context.database))
    routes = APIRouter()
    routes.add_api_route("/shipments/{order_id}", shipments.shipment, methods=["GET"], tags=["shipments"])
    routes.include_router(operations_router(context, shipments.queries.owner))
    return routes


class Shipments:
    """The handlers of the routes. Their docstrings are shown in the interface's documentation."""

    def __init__(self, queries: ShipmentQueries) -> None:
        self.queries = queries

    async def shipment(self, order_id: str, caller: Anyone) -> Response:
        """Show the shipment of one order. 404 `shipment_pending` until the carrier has answered."""
        row = await self._visible(order_id, caller)
        return JsonResponse({"order_id": row.order_id, "status": row.status})

    async def _visible(self, order_id: str, caller: Principal) -> Any:
        row = await self.queries.shipment(order_id)
        if row is None or not (caller.is_admin or row.customer == caller.subject):
            raise NotFound("No shipment for such an order.")
        if row.status == BOOKING:
            raise Problem(404, "shipment_pending", "The carrier has not answered yet.")
        return row

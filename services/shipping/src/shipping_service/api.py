"""The shipping service over HTTP: one shipment, its timeline, and what needs attention."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from sagakit.app.host import ServiceContext
from sagakit.app.operations import Anyone, DataLoader, fetcher, operations_router
from sagakit.web.app import JsonResponse, Problem, not_found
from shipping_service.domain import BOOKING, NEW

SHIPMENTS: Final = (
    "SELECT order_id, status, customer FROM shipments "
    f"WHERE order_id = ANY(CAST(:ids AS text[])) AND status <> '{NEW}' AND customer IS NOT NULL"
)


def router(context: ServiceContext) -> APIRouter:
    """All routes of the shipping service."""
    rows: DataLoader[Any] = DataLoader(fetcher(context.database, SHIPMENTS))

    async def owner(order_id: str) -> str | None:
        row = await rows.get(order_id)
        return row.customer if row else None

    async def shipment(order_id: str, caller: Anyone) -> Response:
        """The shipment of one order; none is shown before the carrier has answered."""
        row = await rows.get(order_id)
        if row is None or not (caller.is_admin or row.customer == caller.subject):
            raise not_found("No shipment for such an order.")
        if row.status == BOOKING:
            raise Problem(404, "shipment_pending", "The carrier has not answered yet.")
        return JsonResponse({"order_id": row.order_id, "status": row.status})

    routes = APIRouter()
    routes.add_api_route("/shipments/{order_id}", shipment, methods=["GET"], tags=["shipments"])
    routes.include_router(operations_router(context, owner))
    return routes

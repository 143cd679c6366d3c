"""The inventory service over HTTP: the stock, which is public, and its restocking, which is not."""

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from starlette.responses import Response

from inventory_service.domain import Restock, StockReceived
from sagakit import telemetry
from sagakit.app.host import ServiceContext
from sagakit.app.operations import Admin, DataLoader, fetcher, operations_router
from sagakit.postgres.connection import connected
from sagakit.web.app import (
    DEFAULT_LIMIT,
    Cursor,
    IdempotencyKey,
    JsonResponse,
    Limit,
    Problem,
    decode_cursor,
    encode_cursor,
    not_found,
    page,
)

NAMESPACE: Final = uuid.UUID("0a3a4f0e-1f8f-4a53-9d6b-6f9f6ad3b2c4")
COLUMNS: Final = "sku, name, price, currency, received, available, reserved, committed"
ITEMS: Final = f"SELECT {COLUMNS} FROM stock_items WHERE sku = ANY(CAST(:ids AS text[]))"
PAGE: Final = text(f"SELECT {COLUMNS} FROM stock_items WHERE sku > :after ORDER BY sku LIMIT :limit")
OWNERS: Final = "SELECT order_id, customer FROM reservations WHERE order_id = ANY(CAST(:ids AS text[]))"


class RestockIn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


def stock_out(row: Any) -> dict[str, Any]:
    """A stock item as the interface shows it."""
    return {
        "sku": row.sku,
        "name": row.name,
        "price": {"amount": row.price, "currency": row.currency},
        "received": row.received,
        "available": row.available,
        "reserved": row.reserved,
        "committed": row.committed,
    }


def router(context: ServiceContext) -> APIRouter:
    """All routes of the inventory service."""
    items: DataLoader[Any] = DataLoader(fetcher(context.database, ITEMS))
    reserved: DataLoader[Any] = DataLoader(fetcher(context.database, OWNERS))
    single = context.database.execution_options(isolation_level="AUTOCOMMIT")

    async def owner(order_id: str) -> str | None:
        row = await reserved.get(order_id)
        return row.customer if row else None

    async def listing(cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
        """A page of the stock, by SKU."""
        after = decode_cursor(cursor, str)
        async with connected(single) as connection:
            rows = (await connection.execute(PAGE, {"after": after[0] if after else "", "limit": limit + 1})).all()
        following = encode_cursor(rows[limit - 1].sku) if len(rows) > limit else None
        return JsonResponse(page([stock_out(row) for row in rows[:limit]], following))

    async def show(sku: str) -> Response:
        """One stock item."""
        row = await items.get(sku) if sku.isprintable() else None
        if row is None:
            raise not_found("No such SKU.")
        return JsonResponse(stock_out(row))

    async def restock(sku: str, body: RestockIn, caller: Admin, key: IdempotencyKey) -> Response:
        """Add stock, once per key."""
        if not sku.isprintable() or await items.get(sku) is None:
            raise not_found("No such SKU.")
        restock_id = "restock-" + str(uuid.uuid5(NAMESPACE, f"{caller.subject}\n{sku}\n{key}"))
        command = Restock(restock_id, sku, body.quantity)
        received = await context.engine.dispatcher.do(command, traceparent=telemetry.traceparent.get())
        assert isinstance(received, StockReceived)
        if received.quantity != body.quantity:
            raise Problem(
                422,
                "idempotency_key_reused",
                "Idempotency-Key: was used for another restock; send a new key with a new restock.",
                errors=[{"field": "Idempotency-Key", "message": "was used with another body"}],
            )
        return JsonResponse(stock_out(await items.get(sku)))

    routes = APIRouter()
    routes.add_api_route("/stock", listing, methods=["GET"], tags=["stock"])
    routes.add_api_route("/stock/{sku}", show, methods=["GET"], tags=["stock"])
    routes.add_api_route("/stock/{sku}/restock", restock, methods=["POST"], tags=["stock"])
    routes.include_router(operations_router(context, owner))
    return routes

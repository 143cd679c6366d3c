"""The inventory service over HTTP: anybody may read the stock, operators may restock."""

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from checkout.messages import Money
from inventory_service.documents import EXAMPLE, StockItem, StockPage
from inventory_service.domain import Restock, StockReceived
from inventory_service.queries import StockQueries
from sagakit import telemetry
from sagakit.app.host import ServiceContext
from sagakit.app.operations import operations_router
from sagakit.web.app import (
    DEFAULT_LIMIT,
    WHOLE,
    Admin,
    Cursor,
    IdempotencyKey,
    JsonResponse,
    Limit,
    NotFound,
    Problem,
    decode_cursor,
    encode_cursor,
    page,
)
from sagakit.web.documents import FORBIDDEN, KEY_REUSED, described

NAMESPACE: Final = uuid.UUID("0a3a4f0e-1f8f-4a53-9d6b-6f9f6ad3b2c4")


def router(context: ServiceContext) -> APIRouter:
    """All routes of the inventory service."""
    stock = Stock(context)
    routes = APIRouter()
    about = described("list_stock", {200: StockPage}, tag="stock")
    routes.add_api_route("/stock", stock.listing, methods=["GET"], **about)
    about = described("get_stock", {200: StockItem}, tag="stock", examples=EXAMPLE)
    routes.add_api_route("/stock/{sku}", stock.show, methods=["GET"], **about)
    about = described("restock", {200: StockItem}, FORBIDDEN, KEY_REUSED, tag="stock", examples=EXAMPLE)
    routes.add_api_route("/stock/{sku}/restock", stock.restock, methods=["POST"], **about)
    routes.include_router(operations_router(context, stock.queries.reservations.owner))
    return routes


class RestockIn(BaseModel):
    """How many pieces have arrived."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_extra={"examples": [{"quantity": 10}]}
    )

    quantity: Annotated[int, Field(ge=1, le=1_000_000), WHOLE]


class Stock:
    """The handlers of the routes. Their docstrings are shown in the interface's documentation."""

    def __init__(self, context: ServiceContext) -> None:
        self.queries = StockQueries(context.database)
        self._dispatcher = context.engine.dispatcher

    async def listing(self, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
        """List the stock by SKU, in pages."""
        after = decode_cursor(cursor, str)
        rows = await self.queries.page(after[0] if after else "", limit + 1)
        following = encode_cursor(rows[limit - 1].sku) if len(rows) > limit else None
        return JsonResponse(page([_item_out(row) for row in rows[:limit]], following))

    async def show(self, sku: str) -> Response:
        """Show one stock item."""
        return JsonResponse(_item_out(await self._item(sku)))

    async def restock(self, sku: str, body: RestockIn, caller: Admin, key: IdempotencyKey) -> Response:
        """Add stock, once per key. The same key with another quantity gives 422."""
        await self._item(sku)
        restock_id = "restock-" + str(uuid.uuid5(NAMESPACE, f"{caller.subject}\n{sku}\n{key}"))
        await self._restock_once(Restock(restock_id, sku, body.quantity))
        return JsonResponse(_item_out(await self._item(sku)))

    async def _restock_once(self, command: Restock) -> None:
        event = await self._dispatcher.do(command, traceparent=telemetry.traceparent.get())
        assert isinstance(event, StockReceived)
        if event.quantity != command.quantity:
            raise Problem(
                422,
                "idempotency_key_reused",
                "Idempotency-Key: was used for another restock; send a new key with a new restock.",
                errors=[{"field": "Idempotency-Key", "message": "was used with another body"}],
            )

    async def _item(self, sku: str) -> Any:
        row = await self.queries.get(sku)
        if row is None:
            raise NotFound("No such SKU.")
        return row


def _item_out(row: Any) -> StockItem:
    """A stock item as the interface shows it."""
    return {
        "sku": row.sku,
        "name": row.name,
        "price": Money(row.price, row.currency),
        "received": row.received,
        "available": row.available,
        "reserved": row.reserved,
        "committed": row.committed,
    }

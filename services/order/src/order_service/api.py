"""The order service over HTTP. Whatever changes an order goes through the door; reads that coincide share a query."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query
from fastapi.exceptions import RequestValidationError
from sqlalchemy import text
from starlette.responses import Response

from checkout import limits
from checkout.messages import Address as AddressMessage
from checkout.messages import (
    CancelOrder,
    Checkout,
    Line,
    Money,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    PlaceOrder,
)
from checkout.sealing import seal_checkout
from order_service.domain import CANCELLED, COMPLETED, CONFIRMED, CUSTOMER_REQUESTED, PENDING
from order_service.schemas import OrderBody, OrderIn, Unfit, order_out
from sagakit import modes, telemetry
from sagakit.app.host import ServiceContext
from sagakit.app.operations import Anyone, DataLoader, fetcher, operations_router
from sagakit.message import id_of
from sagakit.postgres.connection import connected
from sagakit.sealing import sealer
from sagakit.web.app import (
    DEFAULT_LIMIT,
    Cursor,
    EventStream,
    IdempotencyKey,
    JsonResponse,
    Limit,
    PreferWait,
    Principal,
    Problem,
    ServerSentEvent,
    ShutdownSignal,
    conflict,
    decode_cursor,
    decode_instant,
    drain_of,
    encode_cursor,
    invalid,
    iso,
    not_found,
    page,
    require_customer,
)
from sagakit.web.feeds import Feeds, StreamLimit

NAMESPACE: Final = uuid.UUID("6f1b0c0e-5f0e-4c1c-9a39-0f6d1f6a7b11")
STATUSES: Final = (PENDING, CONFIRMED, COMPLETED, CANCELLED)
COLUMNS: Final = "order_id, customer, status, settled, cancellation_reason, checkout, fingerprint, created_at"
PLACED: Final = "customer IS NOT NULL"  # neither a placeholder nor an order that was never placed
TRANSITIONS: Final = text(
    "SELECT seq, name, recorded_at FROM journal WHERE id >= :low AND id < :high AND seq > :seq ORDER BY seq"
)
STREAM_POLL: Final = 0.5

Customer = Annotated[Principal, Depends(require_customer)]
Draining = Annotated[ShutdownSignal, Depends(drain_of)]


def order_id_of(customer: str, key: str) -> str:
    """The id of an order is derived: the same customer and key always mean the same order."""
    return str(uuid.uuid5(NAMESPACE, f"{customer}\n{key}"))


class Orders:
    """The handlers, over one host."""

    def __init__(self, context: ServiceContext) -> None:
        self._host = context
        self._mode = modes.resolve(context.settings.coordination_mode)
        self._single = context.database.execution_options(isolation_level="AUTOCOMMIT")
        self._rows: DataLoader[Any] = DataLoader(
            fetcher(
                context.database,
                f"SELECT {COLUMNS} FROM orders WHERE order_id = ANY(CAST(:ids AS text[])) AND {PLACED}",
            )
        )
        self._prices: dict[str, Money] = {}
        self._feeds = Feeds(self._news, context.engine.watcher, STREAM_POLL)
        self._streams = StreamLimit(context.settings.streams_per_customer)
        settings = context.settings
        self._sealers = sealer(settings.seal_key_payment), sealer(settings.seal_key_shipping)

    async def place(
        self,
        order: OrderBody,
        caller: Customer,
        key: IdempotencyKey,
        wait: PreferWait,
        drain: Draining,
    ) -> Response:
        """Accept an order. The same key with the same body gives the same order, with another body 422."""
        order_id = order_id_of(caller.subject, key)
        if await self._placed(order_id, order, caller.subject, key) != order.fingerprint():
            raise Problem(
                422,
                "idempotency_key_reused",
                "Idempotency-Key: was used for another order; send a new key with a new order.",
                errors=[{"field": "Idempotency-Key", "message": "was used with another body"}],
            )
        engine = self._host.engine
        if wait:
            ends = [id_of(order_id, OrderCompleted), id_of(order_id, OrderCancelled)]
            await drain.race(engine.watcher.wait(ends, wait), wait)
        row = await self._present(order_id)
        ended = wait is not None and row.status in (COMPLETED, CANCELLED)
        headers = {"Location": f"/orders/{order_id}"}
        if wait is not None and (ended or not drain.started):
            headers["Preference-Applied"] = f"wait={wait}"
        return JsonResponse(order_out(row, self._mode), 200 if ended else 202, headers=headers)

    async def _placed(self, order_id: str, order: OrderIn | Unfit, customer: str, key: str) -> str:
        """Place the order if it is new; the fingerprint of the request that placed it.

        What can change (prices, the catalogue, bounds) is judged for new orders only: one that was placed stands.
        """
        try:
            checkout = await self._checkout(order, customer)
        except (Problem, RequestValidationError):
            known = await self._rows.get(order_id)
            if known is None:
                raise
            return str(known.fingerprint)
        command = PlaceOrder(order_id, key, order.fingerprint(), checkout)
        placed = await self._host.engine.dispatcher.do(command, traceparent=telemetry.traceparent.get())
        if isinstance(placed, OrderCancelled):
            raise conflict(
                "order_disowned",
                "Messages about this order came before it, and were undone. Send it again with a new Idempotency-Key.",
            )
        assert isinstance(placed, OrderPlaced)
        return placed.fingerprint

    async def show(self, order_id: str, caller: Anyone) -> Response:
        """One order; somebody else's is not found."""
        return JsonResponse(order_out(await self._own(order_id, caller), self._mode))

    async def listing(
        self,
        caller: Anyone,
        status: Annotated[str | None, Query(description=f"one of {', '.join(STATUSES)}")] = None,
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Response:
        """A page of the caller's orders, newest first; an operator sees all."""
        if status is not None and status not in STATUSES:
            raise invalid("status", f"must be one of {', '.join(STATUSES)}")
        where, values = [PLACED], {"limit": limit + 1}
        if not caller.is_admin:
            where.append("customer = :customer")
            values |= {"customer": caller.subject}  # type: ignore[dict-item]
        if status:
            where.append("status = :status")
            values |= {"status": status}  # type: ignore[dict-item]
        if after := decode_cursor(cursor, str, str):
            where.append("(created_at, order_id) < (CAST(:at AS timestamptz), :last)")
            values |= {"at": decode_instant(after[0]), "last": after[1]}  # type: ignore[dict-item]
        statement = text(
            f"SELECT {COLUMNS} FROM orders WHERE {' AND '.join(where)} "
            "ORDER BY created_at DESC, order_id DESC LIMIT :limit"
        )
        async with connected(self._single) as connection:
            rows = (await connection.execute(statement, values)).all()
        last = rows[limit - 1] if len(rows) > limit else None
        following = encode_cursor(last.created_at.isoformat(), last.order_id) if last else None
        return JsonResponse(page([order_out(row, self._mode) for row in rows[:limit]], following))

    async def cancel(self, order_id: str, caller: Anyone) -> Response:
        """Cancel an order that is not confirmed yet; 409 with the reason if it is, or ended otherwise."""
        await self._own(order_id, caller)
        command = CancelOrder(order_id, CUSTOMER_REQUESTED)
        decision = await self._host.engine.dispatcher.do(command, traceparent=telemetry.traceparent.get())
        row = await self._own(order_id, caller)
        if isinstance(decision, OrderCancelled) and decision.reason == CUSTOMER_REQUESTED:
            return JsonResponse(order_out(row, self._mode))
        if isinstance(decision, OrderCancelled):
            raise conflict(
                "order_cancelled",
                f"The order was cancelled already: {decision.reason}.",
                order_status=row.status,
                cancellation_reason=decision.reason,
            )
        raise conflict(
            "order_confirmed", "The order is confirmed and can no longer be cancelled.", order_status=row.status
        )

    async def events(
        self,
        order_id: str,
        caller: Anyone,
        drain: Draining,
        last: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
    ) -> Response:
        """Each transition as it happens, from the first one or after Last-Event-ID, until the order has ended.

        204 when it has ended, and nothing came after Last-Event-ID.
        """
        order = await self._own(order_id, caller)
        after = int(last) if last and last.isdecimal() and len(last) < 19 else 0
        if after and order.settled and not await self._later(order_id, after):
            return Response(status_code=204)  # tells an EventSource not to come again
        leave = self._streams.admit(caller.subject)
        return EventStream(self._transitions(order_id, after), drain, closed=leave)

    async def _transitions(self, order_id: str, seq: int) -> AsyncIterator[ServerSentEvent]:
        async with aclosing(self._feeds.follow(order_id, seq)) as entries:
            async for one in entries:
                data = {"order_id": order_id, "event": one.name, "at": iso(one.recorded_at)}
                yield ServerSentEvent(data, event=one.name, id=str(one.seq))

    async def _news(self, order_id: str, seq: int) -> tuple[Sequence[Any], bool]:
        row = await self._present(order_id)  # before its transitions: once it is settled, they are all there
        return await self._later(order_id, seq), row.settled

    async def _later(self, order_id: str, seq: int) -> Sequence[Any]:
        values = {"low": f"{order_id}/", "high": f"{order_id}0", "seq": seq}
        async with connected(self._single) as connection:
            return (await connection.execute(TRANSITIONS, values)).all()

    async def owner(self, order_id: str) -> str | None:
        row = await self._rows.get(order_id)
        return row.customer if row else None

    async def _present(self, order_id: str) -> Any:
        row = await self._rows.get(order_id)
        if row is None:
            raise LookupError(f"order {order_id} was there and is gone")
        return row

    async def _own(self, order_id: str, caller: Principal) -> Any:
        row = await self._rows.get(order_id) if order_id.isprintable() else None
        if row is None or not (caller.is_admin or row.customer == caller.subject):
            raise not_found("No such order.")
        return row

    async def _checkout(self, order: OrderIn | Unfit, customer: str) -> Checkout:
        if isinstance(order, Unfit):
            raise order.refusal()
        lines = []
        for position, line in enumerate(order.lines):
            price = await self._price(line.sku)
            if price is None:
                raise invalid(f"lines.{position}.sku", "is not in the catalogue; GET /stock lists it")
            lines.append(Line(line.sku, line.quantity, price))
        total = Money(sum(line.quantity * line.unit_price.amount for line in lines), lines[0].unit_price.currency)
        if total.amount > limits.AMOUNT:
            raise invalid("lines", f"cost more than {limits.AMOUNT} {total.currency} in minor units")
        address = AddressMessage(**order.shipping_address.model_dump())
        checkout = Checkout(customer, tuple(lines), total, order.payment.token, address)
        return seal_checkout(checkout, *self._sealers)  # of a repeat this is let fall: what was sealed first stands

    async def _price(self, sku: str) -> Money | None:
        if not self._prices:
            async with connected(self._single) as connection:
                rows = await connection.execute(text("SELECT sku, price, currency FROM catalogue"))
                self._prices = {row.sku: Money(row.price, row.currency) for row in rows}
        return self._prices.get(sku)


def router(context: ServiceContext) -> APIRouter:
    """All routes of the order service."""
    orders = Orders(context)
    routes = APIRouter()
    routes.add_api_route("/orders", orders.place, methods=["POST"], status_code=202, tags=["orders"])
    routes.add_api_route("/orders", orders.listing, methods=["GET"], tags=["orders"])
    routes.add_api_route("/orders/{order_id}", orders.show, methods=["GET"], tags=["orders"])
    routes.add_api_route("/orders/{order_id}/cancel", orders.cancel, methods=["POST"], tags=["orders"])
    routes.add_api_route("/orders/{order_id}/events", orders.events, methods=["GET"], tags=["orders"])
    routes.include_router(operations_router(context, orders.owner))
    return routes

"""The order service over HTTP. Changes are commands to the dispatcher; reads are in `queries`."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final, NoReturn

from fastapi import APIRouter, Depends, Header, Query
from fastapi.exceptions import RequestValidationError
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
from order_service.admission import Admission
from order_service.documents import (
    CANCELLED_ALREADY,
    CONFIRMED_ALREADY,
    DISOWNED,
    FOLLOWED,
    OVERLOADED,
    PLACED,
    STATUSES,
    Order,
    OrderPage,
)
from order_service.domain import CANCELLED, COMPLETED, CUSTOMER_REQUESTED
from order_service.queries import OrderQueries
from order_service.schemas import OrderBody, OrderIn, UnacceptableOrder, order_out
from order_service.sign_in import sign_in_routes
from sagakit import modes, telemetry
from sagakit.app.documents import ORDER_EXAMPLE
from sagakit.app.host import ServiceContext
from sagakit.app.operations import Anyone, operations_router
from sagakit.message import Event, id_of
from sagakit.sealing import sealer
from sagakit.web.app import (
    DEFAULT_LIMIT,
    Conflict,
    Cursor,
    EventStream,
    IdempotencyKey,
    Invalid,
    JsonResponse,
    Limit,
    PreferWait,
    Principal,
    Problem,
    ServerSentEvent,
    ShutdownSignal,
    decode_cursor,
    decode_instant,
    drain_of,
    encode_cursor,
    iso,
    page,
    require_customer,
)
from sagakit.web.documents import FORBIDDEN, KEY_REUSED, TOO_MANY_STREAMS, described
from sagakit.web.feeds import Feeds, StreamLimit

NAMESPACE: Final = uuid.UUID("6f1b0c0e-5f0e-4c1c-9a39-0f6d1f6a7b11")
STREAM_POLL: Final = 0.5  # seconds

Customer = Annotated[Principal, Depends(require_customer)]
Draining = Annotated[ShutdownSignal, Depends(drain_of)]
StatusFilter = Annotated[str | None, Query(json_schema_extra={"enum": list(STATUSES)})]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]


def router(context: ServiceContext) -> APIRouter:
    """All routes of the order service."""
    orders = Orders(context)
    routes = APIRouter()
    about = described("place_order", PLACED, FORBIDDEN, KEY_REUSED, DISOWNED, OVERLOADED, tag="orders")
    routes.add_api_route("/orders", orders.place, methods=["POST"], status_code=202, **about)
    about = described("list_orders", {200: OrderPage}, tag="orders")
    routes.add_api_route("/orders", orders.listing, methods=["GET"], **about)
    about = described("get_order", {200: Order}, tag="orders", examples=ORDER_EXAMPLE)
    routes.add_api_route("/orders/{order_id}", orders.show, methods=["GET"], **about)
    codes = CONFIRMED_ALREADY, CANCELLED_ALREADY
    about = described("cancel_order", {200: Order}, *codes, tag="orders", examples=ORDER_EXAMPLE)
    routes.add_api_route("/orders/{order_id}/cancel", orders.cancel, methods=["POST"], **about)
    about = described("follow_order", FOLLOWED, TOO_MANY_STREAMS, tag="orders", examples=ORDER_EXAMPLE)
    routes.add_api_route("/orders/{order_id}/events", orders.events, methods=["GET"], **about)
    routes.include_router(sign_in_routes(context.database))
    routes.include_router(operations_router(context, orders.queries.owner))
    return routes


def order_id_of(customer: str, key: str) -> str:
    """The id of an order is derived: the same customer and key always mean the same order."""
    return str(uuid.uuid5(NAMESPACE, f"{customer}\n{key}"))


class Orders:
    """The handlers of the routes. Their docstrings are shown in the interface's documentation."""

    def __init__(self, context: ServiceContext) -> None:
        settings = context.settings
        self.queries = OrderQueries(context.database)
        self._mode = modes.resolve(settings.coordination_mode)
        self._admission = Admission.of(context)
        self._dispatcher, self._watcher = context.engine.dispatcher, context.engine.watcher
        self._feeds = Feeds(self._news, self._watcher, STREAM_POLL)
        self._streams = StreamLimit(settings.streams_per_customer)
        self._sealers = sealer(settings.seal_key_payment), sealer(settings.seal_key_shipping)

    async def place(
        self, order: OrderBody, caller: Customer, key: IdempotencyKey, wait: PreferWait, drain: Draining
    ) -> Response:
        """Accept an order. The same key with the same body gives the same order, with another body 422."""
        order_id = order_id_of(caller.subject, key)
        await self._admission.admit(order_id)
        try:
            await self._place_once(order_id, order, caller.subject, key)
        finally:
            self._admission.release(order_id)
        if wait:
            ends = [id_of(order_id, OrderCompleted), id_of(order_id, OrderCancelled)]
            await drain.race(self._watcher.wait(ends, wait), wait)
        row = await self._existing(order_id)
        ended = wait is not None and row.status in (COMPLETED, CANCELLED)
        headers = {"Location": f"/orders/{order_id}"}
        if wait is not None and (ended or not drain.started):
            headers["Preference-Applied"] = f"wait={wait}"
        return JsonResponse(order_out(row, self._mode), 200 if ended else 202, headers=headers)

    async def show(self, order_id: str, caller: Anyone) -> Response:
        """Show one order. 404 if there is none, or it is another customer's."""
        return JsonResponse(order_out(await self._visible(order_id, caller), self._mode))

    async def listing(
        self, caller: Anyone, status: StatusFilter = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
    ) -> Response:
        """List the caller's orders, newest first, in pages. An operator sees the orders of all customers."""
        _check_status(status)
        position = decode_cursor(cursor, str, str)
        after = (decode_instant(position[0]), position[1]) if position else None
        rows = await self.queries.page(None if caller.is_admin else caller.subject, status, after, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        following = encode_cursor(last.created_at.isoformat(), last.order_id) if last else None
        return JsonResponse(page([order_out(row, self._mode) for row in rows[:limit]], following))

    async def cancel(self, order_id: str, caller: Anyone) -> Response:
        """Cancel an order that is not confirmed yet. 409 if it is confirmed, or was cancelled for another reason."""
        await self._visible(order_id, caller)
        command = CancelOrder(order_id, CUSTOMER_REQUESTED)
        decision = await self._dispatcher.do(command, traceparent=telemetry.traceparent.get())
        row = await self._visible(order_id, caller)
        if not (isinstance(decision, OrderCancelled) and decision.reason == CUSTOMER_REQUESTED):
            _refuse_to_cancel(decision, row.status)
        return JsonResponse(order_out(row, self._mode))

    async def events(self, order_id: str, caller: Anyone, drain: Draining, last: LastEventId = None) -> Response:
        """Stream each transition as it happens, from the first one or after Last-Event-ID, until the order has ended.

        204 if it has ended, and nothing came after Last-Event-ID.
        """
        order = await self._visible(order_id, caller)
        after = int(last) if last and last.isdecimal() and len(last) < 19 else 0
        if after and order.settled and not await self.queries.transitions(order_id, after):
            return Response(status_code=204)  # tells an EventSource not to reconnect
        leave = self._streams.admit(caller.subject)
        return EventStream(self._transitions(order_id, after), drain, closed=leave)

    async def _transitions(self, order_id: str, seq: int) -> AsyncIterator[ServerSentEvent]:
        async with aclosing(self._feeds.follow(order_id, seq)) as entries:
            async for entry in entries:
                data = {"order_id": order_id, "event": entry.name, "at": iso(entry.recorded_at)}
                yield ServerSentEvent(data, event=entry.name, id=str(entry.seq))

    async def _news(self, order_id: str, seq: int) -> tuple[Sequence[Any], bool]:
        row = await self._existing(order_id)  # before its transitions: once it is settled, they are all there
        return await self.queries.transitions(order_id, seq), row.settled

    async def _existing(self, order_id: str) -> Any:
        row = await self.queries.get(order_id)
        if row is None:
            raise LookupError(f"order {order_id} existed and is gone")
        return row

    async def _visible(self, order_id: str, caller: Principal) -> Any:
        return await self.queries.get_for(caller, order_id, "No such order.")

    async def _place_once(self, order_id: str, order: OrderIn | UnacceptableOrder, customer: str, key: str) -> None:
        # What can change (prices, the catalogue, bounds) is checked for new orders only: a placed order stands
        try:
            checkout = await self._priced(order, customer)
        except (Problem, RequestValidationError):
            row = await self.queries.get(order_id)
            if row is None:
                raise
            fingerprint = row.fingerprint
        else:
            command = PlaceOrder(order_id, key, order.fingerprint(), checkout)
            event = await self._dispatcher.do(command, traceparent=telemetry.traceparent.get())
            if isinstance(event, OrderCancelled):
                raise Conflict(
                    "order_disowned",
                    "Messages about this order came before it, and were undone. "
                    "Send it again with a new Idempotency-Key.",
                )
            assert isinstance(event, OrderPlaced)
            fingerprint = event.fingerprint
        if fingerprint != order.fingerprint():
            raise Problem(
                422,
                "idempotency_key_reused",
                "Idempotency-Key: was used for another order; send a new key with a new order.",
                errors=[{"field": "Idempotency-Key", "message": "was used with another body"}],
            )

    async def _priced(self, order: OrderIn | UnacceptableOrder, customer: str) -> Checkout:
        if isinstance(order, UnacceptableOrder):
            raise order.refusal()
        lines = []
        for position, line in enumerate(order.lines):
            price = await self.queries.price(line.sku)
            if price is None:
                raise Invalid(f"lines.{position}.sku", "is not in the catalogue; GET /stock lists it")
            lines.append(Line(line.sku, line.quantity, price))
        total = Money(sum(line.quantity * line.unit_price.amount for line in lines), lines[0].unit_price.currency)
        if total.amount > limits.AMOUNT:
            raise Invalid("lines", f"cost more than {limits.AMOUNT} {total.currency} in minor units")
        address = AddressMessage(**order.shipping_address.model_dump())
        checkout = Checkout(customer, tuple(lines), total, order.payment.token, address)
        return seal_checkout(checkout, *self._sealers)  # dropped when the order is a repeat: the first sealing stands


def _check_status(status: str | None) -> None:
    if status is not None and status not in STATUSES:
        raise Invalid("status", f"must be one of {', '.join(STATUSES)}")


def _refuse_to_cancel(decision: Event | None, status: str) -> NoReturn:
    if isinstance(decision, OrderCancelled):
        raise Conflict(
            "order_cancelled",
            f"The order was cancelled already: {decision.reason}.",
            order_status=status,
            cancellation_reason=decision.reason,
        )
    raise Conflict("order_confirmed", "The order is confirmed and can no longer be cancelled.", order_status=status)

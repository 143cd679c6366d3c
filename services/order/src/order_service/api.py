"""The order service over HTTP. Changes are commands to the dispatcher; reads are in `queries`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final, NoReturn

from fastapi import Header, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from checkout.messages import CancelOrder, OrderCancelled, OrderCompleted
from order_service.admission import Admission
from order_service.documents import (
    CANCELLED_ALREADY,
    CONFIRMED_ALREADY,
    FOLLOWED,
    OVERLOADED,
    PLACED,
    STATUSES,
    Order,
    OrderPage,
)
from order_service.domain import CANCELLED, COMPLETED, CUSTOMER_REQUESTED
from order_service.placing import Placing
from order_service.plain import read_plain_order
from order_service.queries import OrderQueries
from order_service.schemas import OrderBody, ReceivedOrder, order_out
from order_service.sign_in import sign_in_routes
from sagakit import modes
from sagakit.app.documents import ORDER_EXAMPLE
from sagakit.app.host import ServiceContext
from sagakit.app.operations import operations_router
from sagakit.message import Event, id_of
from sagakit.web.app import (
    DEFAULT_LIMIT,
    Anyone,
    Conflict,
    Cursor,
    Customer,
    Draining,
    EventStream,
    IdempotencyKey,
    Invalid,
    JsonResponse,
    Limit,
    PlainRequest,
    PreferWait,
    Principal,
    ServerSentEvent,
    ShortcutRouter,
    ShutdownSignal,
    decode_cursor,
    decode_instant,
    encode_cursor,
    iso,
    page,
    plain_idempotency_key,
    plain_prefer_wait,
)
from sagakit.web.documents import FORBIDDEN, KEY_REUSED, TOO_MANY_STREAMS, described
from sagakit.web.feeds import Feeds, StreamLimit

STREAM_POLL: Final = 0.5  # seconds

StatusFilter = Annotated[str | None, Query(json_schema_extra={"enum": list(STATUSES)})]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]


def router(context: ServiceContext) -> ShortcutRouter:
    """All routes of the order service."""
    orders = Orders(context)
    routes = ShortcutRouter()
    about = described("place_order", PLACED, FORBIDDEN, KEY_REUSED, OVERLOADED, tag="orders")
    routes.add_api_route("/orders", orders.place, methods=["POST"], status_code=202, **about)
    routes.add_shortcut("/orders", orders.place_plain)
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


class Orders:
    """The handlers of the routes. Their docstrings are shown in the interface's documentation."""

    def __init__(self, context: ServiceContext) -> None:
        settings = context.settings
        self.queries = OrderQueries(context.database)
        self._mode = modes.resolve(settings.coordination_mode)
        self._dispatcher, self._watcher = context.engine.dispatcher, context.engine.watcher
        self._feeds = Feeds(self._news, self._watcher, STREAM_POLL)
        self._streams = StreamLimit(settings.streams_per_customer)
        self._placing = Placing(self.queries, self._dispatcher, Admission.of(context), settings)

    async def place(
        self,
        order: OrderBody,
        caller: Customer,
        key: IdempotencyKey,
        wait: PreferWait,
        drain: Draining,
        request: Request,
    ) -> Response:
        """Accept an order. The same key with the same body gives the same order, with another body 422."""
        return await self._place(order, caller.subject, key, wait, drain, request.receive)

    async def place_plain(self, request: PlainRequest) -> Response | None:
        """The shortcut of `place`."""
        key, order = plain_idempotency_key(request.headers), read_plain_order(request.body)
        if key is None or order is None or request.caller.role != "customer":
            return None
        wait = plain_prefer_wait(request.headers)
        return await self._place(order, request.caller.subject, key, wait, request.drain, request.receive)

    async def _place(
        self,
        order: ReceivedOrder,
        customer: str,
        key: str,
        wait: int | None,
        drain: ShutdownSignal,
        receive: Receive,
    ) -> Response:
        order_id, pruned = await self._placing.place(order, customer, key)
        if wait and not pruned:
            ends = [id_of(order_id, OrderCompleted), id_of(order_id, OrderCancelled)]
            await drain.race(self._watcher.wait(ends, wait), wait, receive)
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
        decision = await self._dispatcher.do(command, traceparent=await self.queries.trace_context(order_id))
        row = await self._visible(order_id, caller)
        if not (isinstance(decision, OrderCancelled) and decision.reason == CUSTOMER_REQUESTED):
            _refuse_to_cancel(decision, row.status)
        return JsonResponse(order_out(row, self._mode))

    async def events(self, order_id: str, caller: Anyone, drain: Draining, last: LastEventId = None) -> Response:
        """Stream each transition as it happens, from the first one or after Last-Event-ID, until the order has ended.

        204 if it has ended, and nothing is known that came after Last-Event-ID.
        """
        order = await self._visible(order_id, caller)
        after = int(last) if last and last.isdecimal() and len(last) < 19 else 0
        if order.settled and not await self.queries.transitions(order_id, after):  # the record of an old one is deleted
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

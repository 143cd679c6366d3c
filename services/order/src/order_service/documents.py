"""What the document of the order service says: its answers, its problems, and an order to paste."""

from typing import Any, Final, Literal

from typing_extensions import TypedDict

from checkout.messages import Line, Money
from order_service.domain import CANCELLED, COMPLETED, CONFIRMED, PENDING
from sagakit.web.documents import Code, Instant

STATUSES: Final = (PENDING, CONFIRMED, COMPLETED, CANCELLED)
Status = Literal["PENDING", "CONFIRMED", "COMPLETED", "CANCELLED"]
Reason = Literal["OUT_OF_STOCK", "PAYMENT_DECLINED", "SHIPPING_UNAVAILABLE", "TIMED_OUT", "CUSTOMER_REQUESTED"]


class Order(TypedDict):
    """An order; `settled` says that nothing is open any more, in whatever way it ended."""

    order_id: str
    status: Status
    settled: bool
    cancellation_reason: Reason | None
    total: Money
    lines: tuple[Line, ...]
    created_at: Instant
    mode: str


class OrderPage(TypedDict):
    """A page of orders, newest first."""

    items: list[Order]
    next_cursor: str | None


class Transition(TypedDict):
    """The data of one server-sent event: what has happened to the order."""

    order_id: str
    event: str
    at: Instant


_EVENTS: Final[dict[str, Any]] = {
    "description": (
        "Server-sent events. Each has an `id` (which `Last-Event-ID` continues after), the name of the transition "
        "as its `event`, and as `data` a JSON object with the schema `Transition`. A comment comes every 15 seconds. "
        "The stream ends when the order is completed or its cancellation is settled."
    ),
    "model": Transition,
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": (
                "id: 1\nevent: OrderPlaced\n"
                'data: {"order_id":"0f0f4a5c-0510-5a4f-8752-14a9d0032637","event":"OrderPlaced",'
                '"at":"2026-01-02T03:04:05Z"}\n\n'
            ),
        }
    },
}
_PLACED_HEADERS: Final[dict[str, Any]] = {
    "Location": {"description": "Where the order is", "required": True, "schema": {"type": "string"}},
    "Preference-Applied": {"description": "The wait that was applied (RFC 7240)", "schema": {"type": "string"}},
}
PLACED: Final[dict[int, Any]] = {
    status: {"model": Order, "description": description, "headers": _PLACED_HEADERS}
    for status, description in (
        (200, "The order has ended within the wait that `Prefer` asked for"),
        (202, "The order is accepted, and goes on"),
    )
}
FOLLOWED: Final[dict[int, Any]] = {200: _EVENTS, 204: "The order has ended, and nothing came after Last-Event-ID"}
_STATUS_SCHEMA: Final = {"type": "string", "enum": list(STATUSES)}
OVERLOADED: Final = Code("overloaded", 503, "Too many orders are in flight; repeat the same request after Retry-After.")
CONFIRMED_ALREADY: Final = Code(
    "order_confirmed", 409, "The order can no longer be cancelled.", {"order_status": _STATUS_SCHEMA}
)
CANCELLED_ALREADY: Final = Code(
    "order_cancelled",
    409,
    "The order was cancelled for another reason.",
    {"order_status": _STATUS_SCHEMA, "cancellation_reason": {"type": "string"}},
)
EXAMPLE: Final[dict[str, Any]] = {
    "lines": [{"sku": "espresso-cup", "quantity": 2}],
    "payment": {"token": "tok_visa"},
    "shipping_address": {
        "name": "A. Customer",
        "line1": "1 Main St",
        "city": "Riga",
        "postal_code": "LV-1010",
        "country": "LV",
    },
}

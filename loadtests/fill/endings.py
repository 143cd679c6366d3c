"""How an order ends: the rows that one settled order of each kind leaves behind, made by the services' own rules.

Each kind is played once, with a sample order; `templates` makes a million of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from checkout import messages as m
from checkout.provider_rules import decide
from inventory_service.domain import Reservation, StockItem, StockState
from inventory_service.service import SERVICE as INVENTORY
from inventory_service.store import RESERVATIONS_ROWS
from order_service.domain import CUSTOMER_REQUESTED, OUT_OF_STOCK, PAYMENT_DECLINED, TIMED_OUT, Order
from order_service.service import SERVICE as ORDER
from order_service.store import write as order_columns
from payment_service.domain import Payment
from payment_service.service import SERVICE as PAYMENT
from payment_service.store import ROWS as PAYMENT_ROWS
from sagakit.message import Command, Event, message_id
from sagakit.service import Service
from shipping_service.domain import Shipment
from shipping_service.service import SERVICE as SHIPPING
from shipping_service.store import ROWS as SHIPMENT_ROWS

Row = Mapping[str, Any]
Rows = dict[tuple[str, str], list[Row]]
"""Service and table -> rows."""

SERVICES: Final[Mapping[str, Service]] = {one.name: one for one in (ORDER, INVENTORY, PAYMENT, SHIPPING)}
COMPLETED: Final = "completed"
KINDS: Final[Mapping[str, float]] = {
    COMPLETED: 0.92,
    "sold out": 0.02,
    "declined": 0.03,
    "withdrawn": 0.02,
    "overdue": 0.01,
}
"""Kind of ending -> its share of the orders."""
_TICK: Final = 150  # microseconds
_HOLDS: Final = (
    ("inventory", m.ReserveStock, "OrderPlaced"),
    ("payment", m.AuthorizePayment, "StockReserved"),
    ("shipping", m.BookShipment, "PaymentAuthorized"),
)
_DONE: Final = (
    (m.CommitStock, m.RecordStockSettled, "StockCommitted"),
    (m.CapturePayment, m.RecordPaymentSettled, "PaymentCaptured"),
    (m.DispatchShipment, m.RecordShipmentSettled, "ShipmentDispatched"),
)
_UNDONE: Final = (
    (m.ReleaseStock, m.RecordStockSettled, "StockReleased"),
    (m.VoidPayment, m.RecordPaymentSettled, "PaymentVoided"),
    (m.CancelShipment, m.RecordShipmentSettled, "ShipmentCancelled"),
)


@dataclass(frozen=True, slots=True)
class At:
    """A time: microseconds after the order was placed, less than 10,000."""

    microseconds: int


def ending(kind: str, order: m.PlaceOrder) -> Rows:
    """The rows of an order that ends in this way. Its token and address decide nothing: the kind does."""
    tale = _Tale(order, declined=kind == "declined", available=0 if kind == "sold out" else 1 << 40)
    tale.do(order)
    until, reason, refusal = {
        COMPLETED: (3, None, None),
        "sold out": (1, OUT_OF_STOCK, "StockRejected"),
        "declined": (2, PAYMENT_DECLINED, "PaymentDeclined"),
        "withdrawn": (2, CUSTOMER_REQUESTED, None),
        "overdue": (1, TIMED_OUT, None),
    }[kind]
    for _, hold, cause in _HOLDS[:until]:
        tale.do(hold(order.order_id, order.checkout), cause)
    if reason is None:
        tale.do(m.ConfirmOrder(order.order_id), "ShipmentBooked")
    else:
        tale.do(m.CancelOrder(order.order_id, reason), refusal)
    settlements, decision = (_DONE, "OrderConfirmed") if reason is None else (_UNDONE, "OrderCancelled")
    for settle, _, _ in settlements:
        tale.do(settle(order.order_id), decision)
    for _, record, event in settlements:
        tale.do(record(order.order_id), event)
    return tale.rows()


@dataclass(slots=True)
class _Tale:
    """The commands of one order, handled as the engine does with providers that answer at once."""

    order: m.PlaceOrder
    declined: bool
    available: int
    now: int = 0
    states: dict[str, Any] = field(init=False)
    records: Rows = field(default_factory=dict)

    def __post_init__(self) -> None:
        subject = self.order.order_id
        blank = (Order(subject), Reservation(subject), Payment(subject), Shipment(subject))
        self.states = dict(zip(SERVICES, blank, strict=True))

    def do(self, command: Command, cause: str | None = None) -> None:
        service = next(name for name, one in SERVICES.items() if type(command) in one.commands)
        because = f"{self.order.order_id}/{cause}" if cause else None
        self._record(service, "inbox", id=message_id(command), cause=because, claimed_at=self._tick())
        self._handle(service, command)

    def rows(self) -> Rows:
        """All rows, those of the services' own tables among them."""
        times = {"order_id": self.order.order_id, "created_at": At(0)}
        ended = {"updated_at": At(self.now), "nudge_at": At(self.now), "nudges": 0}
        order, reservation, payment, shipment = (self.states[service] for service in SERVICES)
        self._record("order", "orders", **times, **ended, **order_columns(order))
        self._record("inventory", "reservations", **times, **RESERVATIONS_ROWS.write(reservation))
        self._record("payment", "payments", **times, **PAYMENT_ROWS.write(payment))
        self._record("shipping", "shipments", **times, **SHIPMENT_ROWS.write(shipment))
        return self.records

    def _handle(self, service: str, command: Command) -> None:
        definition = SERVICES[service]
        event = definition.commands[type(command)].decide(command, self._state(service))
        state = definition.evolve(self._state(service), event)
        self.states[service] = state.reservation if isinstance(state, StockState) else state
        self._journal(service, event, command)
        call = definition.provider.call(event) if definition.provider else None
        if call is None or definition.provider is None:
            return
        token = "tok_declined" if self.declined else "tok_visa"
        outcome = decide(replace(call, payload={**call.payload, "token": token, "country": "LV"}))
        money: Mapping[str, Any] = call.payload.get("amount") or {}
        self._record(
            service,
            "ledger",
            key=call.key,
            order_id=call.payload["order_id"],
            provider=call.provider,
            operation=call.operation,
            outcome=outcome.outcome,
            amount=money.get("amount"),
            currency=money.get("currency"),
            at=self._tick(),
        )
        self._handle(service, definition.provider.outcome(call, outcome))

    def _journal(self, service: str, event: Event, command: Command) -> None:
        self._record(
            service,
            "journal",
            id=message_id(event),
            subject=event.subject,
            name=type(event).__name__,
            command=message_id(command),
            data=SERVICES[service].vocabulary.encode(event).decode(),
            traceparent=None,
            recorded_at=self._tick(),
        )

    def _state(self, service: str) -> Any:
        state = self.states[service]
        if service != "inventory":
            return state
        skus = [line.sku for line in self.order.checkout.lines]
        return StockState(state, {sku: StockItem(sku, self.available, self.available) for sku in skus})

    def _record(self, service: str, table: str, **columns: Any) -> None:
        self.records.setdefault((service, table), []).append(columns)

    def _tick(self) -> At:
        self.now += _TICK
        return At(self.now)

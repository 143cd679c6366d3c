"""A consistent system, made by the production deciders on plain lists: what an auditor must find nothing wrong with."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, structs

from checkout import messages as m
from checkout.provider_rules import decide
from checkout_audit.replay import SERVICES
from checkout_audit.rows import InboxRow, JournalRow, LedgerRow, OrderRow, PaymentRow, Records
from checkout_audit.snapshot import ClientObservation, Snapshot
from inventory_service.domain import Reservation, Restock, StockItem, StockState
from inventory_service.store import skus_named_by
from order_service.domain import Order
from payment_service.domain import Payment
from sagakit.message import Command, Event, message_id
from sagakit.provider import ProviderCall
from shipping_service.domain import Shipment

INITIAL = {"cup": 500_000, "beans": 500_000, "rare": 1}
OWN = "its own id"


def checkout(
    order_id: str, *lines: tuple[str, int], card: str = "visa", country: str = "LV", customer: str = "alice"
) -> m.Checkout:
    """A basket; every unit costs 1200."""
    priced = tuple(m.Line(sku, quantity, m.Money(1200, "EUR")) for sku, quantity in lines or (("cup", 2), ("beans", 1)))
    total = m.Money(sum(line.quantity * line.unit_price.amount for line in priced), "EUR")
    address = m.Address("A. Customer", f"{order_id} Main St", "Riga", "LV-1010", country)
    return m.Checkout(customer, priced, total, f"tok_{card}", address)


class World:
    """Services whose commands are given by hand. Time advances by 10 ms with each record."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.instant = False
        self.states: dict[str, dict[str, Any]] = {service: {} for service in SERVICES}
        self.stock = {sku: StockItem(sku, received=n, available=n) for sku, n in INITIAL.items()}
        self.inbox: dict[str, dict[str, InboxRow]] = {service: {} for service in SERVICES}
        self.journal: dict[str, dict[str, JournalRow]] = {service: {} for service in SERVICES}
        self.ledger: list[LedgerRow] = []
        self.calls: dict[str, tuple[str, ProviderCall]] = {}
        self.history: list[ClientObservation] = []

    def tick(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now

    def do(self, command: Command, cause: str | None = None, *, answered: bool = True) -> None:
        """Handle a command as the engine does; `answered` False leaves the call to the provider open."""
        service = next(name for name, one in SERVICES.items() if type(command) in one.commands)
        cause = message_id(command) if cause == OWN else cause
        claim = message_id(command)
        assert claim not in self.inbox[service]
        self.inbox[service][claim] = InboxRow(claim, cause, self.tick())
        self._handle(service, command, answered)

    def _handle(self, service: str, command: Command, answered: bool) -> None:
        definition = SERVICES[service]
        event = definition.commands[type(command)].decide(command, self._state(service, command))
        self._evolve(service, command, event)
        call = definition.provider.call(event) if definition.provider is not None else None
        if call is None:
            return
        self.calls[call.key] = (service, call)
        if answered:
            self.answer(call.key)

    def answer(self, key: str) -> None:
        """Let the provider answer an open call."""
        service, call = self.calls.pop(key)
        outcome = decide(call)
        money = call.payload.get("amount")
        source = service if self.instant else "sandbox"
        order_id = str(call.payload["order_id"])
        self.ledger.append(
            LedgerRow(
                order_id,
                call.provider,
                call.operation,
                outcome.outcome,
                m.Money(**money) if money else None,
                call.key,
                self.tick(),
                source,
            )
        )
        port = SERVICES[service].provider
        assert port is not None
        command = port.outcome(call, outcome)
        if self.instant:
            self._handle(service, command, True)
        else:
            self.do(command, key)

    def _state(self, service: str, command: Command) -> Any:
        blank: Mapping[str, Any] = {"order": Order, "inventory": Reservation, "payment": Payment, "shipping": Shipment}
        state = self.states[service].get(command.subject) or blank[service](command.subject)
        if service != "inventory":
            return state
        skus = skus_named_by(command) | set(state.lines)
        return StockState(state, {sku: self.stock[sku] for sku in skus})

    def _evolve(self, service: str, command: Command, event: Event) -> None:
        state = SERVICES[service].evolve(self._state(service, command), event)
        if isinstance(state, StockState):
            self.stock.update(state.items)
            state = state.reservation
        if not isinstance(command, Restock):
            self.states[service][command.subject] = state
        identity, seq = message_id(event), sum(map(len, self.journal.values())) + 1
        row = JournalRow(identity, seq, event.subject, type(event).__name__, message_id(command), event, self.tick())
        self.journal[service].setdefault(identity, row)

    def place(self, order_id: str, basket: m.Checkout | None = None) -> m.Checkout:
        basket = basket or checkout(order_id)
        self.do(m.PlaceOrder(order_id, f"key-{order_id}", "fingerprint", basket))
        self.history.append(ClientObservation(f"key-{order_id}", order_id, "accepted", basket.customer))
        return basket

    def settle(self, order_id: str, cause: str | None = None) -> None:
        """Settle as decided, and record the three answers."""
        confirmed = self.states["order"][order_id].status == "CONFIRMED"
        decision = cause or f"{order_id}/{'OrderConfirmed' if confirmed else 'OrderCancelled'}"
        done: tuple[type[Command], ...] = (m.CommitStock, m.CapturePayment, m.DispatchShipment)
        undone: tuple[type[Command], ...] = (m.ReleaseStock, m.VoidPayment, m.CancelShipment)
        for kind in done if confirmed else undone:
            self.do(kind(order_id), decision)  # type: ignore[call-arg]
        self.record(order_id)

    def record(self, order_id: str) -> None:
        completed = self.states["order"][order_id].status == "CONFIRMED"
        events = ("StockCommitted", "PaymentCaptured", "ShipmentDispatched")
        undone = ("StockReleased", "PaymentVoided", "ShipmentCancelled")
        kinds = (m.RecordStockSettled, m.RecordPaymentSettled, m.RecordShipmentSettled)
        for kind, event in zip(kinds, events if completed else undone, strict=True):
            self.do(kind(order_id), f"{order_id}/{event}")
        self.history.append(ClientObservation(f"key-{order_id}", order_id, self.states["order"][order_id].status))

    def hold(self, order_id: str, basket: m.Checkout, *, until: str = "shipping", cause: str | None = None) -> None:
        """The holds, in order, up to one participant's."""
        steps = (
            ("inventory", m.ReserveStock, "OrderPlaced"),
            ("payment", m.AuthorizePayment, "StockReserved"),
            ("shipping", m.BookShipment, "PaymentAuthorized"),
        )
        for participant, kind, event in steps:
            self.do(kind(order_id, basket), cause or f"{order_id}/{event}")
            if participant == until:
                return

    def complete(self, order_id: str, cause: str | None = None, basket: m.Checkout | None = None) -> None:
        self.hold(order_id, self.place(order_id, basket), cause=cause)
        self.do(m.ConfirmOrder(order_id), f"{order_id}/ShipmentBooked")
        self.settle(order_id, cause)

    def snapshot(self) -> Snapshot:
        """As the loader would have read it."""
        orders = tuple(
            OrderRow(one, one.settled, one.checkout.customer if one.checkout else None)
            for one in self.states["order"].values()
        )
        totals = [(one, one.checkout.total if one.checkout else None) for one in self.states["payment"].values()]
        return Snapshot(
            orders=orders,
            reservations=tuple(self.states["inventory"].values()),
            stock=tuple(self.stock.values()),
            payments=tuple(PaymentRow(one, t and t.amount, t and t.currency) for one, t in totals),
            shipments=tuple(self.states["shipping"].values()),
            services={
                name: Records(tuple(self.inbox[name].values()), tuple(self.journal[name].values())) for name in SERVICES
            },
            ledger=tuple(self.ledger),
            initial=INITIAL,
            history=tuple(self.history),
        )


def cancel(world: World, order_id: str, reason: str = "CUSTOMER_REQUESTED", cause: str | None = None) -> None:
    world.do(m.CancelOrder(order_id, reason), cause)


def every_kind() -> World:
    """One order of every kind, named by it."""
    world = World()
    world.complete("completed")
    world.complete("commanded", cause=OWN)
    world.do(Restock("restock", "cup", 7))
    world.complete("single", basket=checkout("single", ("cup", 1), ("cup", 2)))

    world.instant = True
    world.complete("instant")
    world.hold("instant-declined", world.place("instant-declined", checkout("x", card="declined")), until="payment")
    cancel(world, "instant-declined", "PAYMENT_DECLINED", "instant-declined/PaymentDeclined")
    world.settle("instant-declined")
    world.instant = False

    world.hold("sold-out", world.place("sold-out", checkout("x", ("rare", 2))), until="inventory")
    cancel(world, "sold-out", "OUT_OF_STOCK", "sold-out/StockRejected")
    world.settle("sold-out")
    world.hold("declined", world.place("declined", checkout("x", card="declined")), until="payment")
    cancel(world, "declined", "PAYMENT_DECLINED", "declined/PaymentDeclined")
    world.settle("declined")
    world.hold("refused", world.place("refused", checkout("x", country="AQ")))
    cancel(world, "refused", "SHIPPING_UNAVAILABLE", "refused/ShipmentRefused")
    world.settle("refused")

    basket = world.place("withdrawn")
    world.hold("withdrawn", basket, until="payment")
    cancel(world, "withdrawn")
    world.settle("withdrawn")
    world.do(m.BookShipment("withdrawn", basket), "withdrawn/PaymentAuthorized")

    basket = world.place("overdue")
    cancel(world, "overdue", "TIMED_OUT", "overdue/OrderPlaced")
    world.settle("overdue")
    world.do(m.ReserveStock("overdue", basket), "overdue/OrderPlaced")

    for order_id, card in (("late-yes", "visa"), ("late-no", "declined")):
        basket = world.place(order_id, checkout(order_id, card=card))
        world.hold(order_id, basket, until="inventory")
        world.do(m.AuthorizePayment(order_id, basket), f"{order_id}/StockReserved", answered=False)
        cancel(world, order_id, "TIMED_OUT")
        for kind in (m.ReleaseStock, m.VoidPayment, m.CancelShipment):
            world.do(kind(order_id), f"{order_id}/OrderCancelled")
        world.answer(f"{order_id}/authorize")
        world.record(order_id)

    basket = world.place("late-booking")
    world.hold("late-booking", basket, until="payment")
    world.do(m.BookShipment("late-booking", basket), "late-booking/PaymentAuthorized", answered=False)
    cancel(world, "late-booking")
    for kind in (m.ReleaseStock, m.VoidPayment, m.CancelShipment):
        world.do(kind("late-booking"), "late-booking/OrderCancelled")
    world.answer("late-booking/book")
    world.record("late-booking")

    world.hold("lost-confirm", world.place("lost-confirm"))
    cancel(world, "lost-confirm")
    world.do(m.ConfirmOrder("lost-confirm"), "lost-confirm/ShipmentBooked")
    world.settle("lost-confirm")
    world.complete("lost-cancel")
    cancel(world, "lost-cancel")
    world.history.append(ClientObservation("never-arrived", None, "unknown"))
    world.history.append(ClientObservation("key-completed", None, "unknown"))
    world.history.append(ClientObservation("key-completed", None, "refused", "alice"))  # with another body
    world.history.append(ClientObservation("key-completed", "completed", "not cancelled", "alice"))
    world.history.append(ClientObservation("key-invalid", None, "refused", "alice"))
    world.history.append(ClientObservation("key-overdue", "overdue", "not cancelled", "alice"))
    return world


def copied(value: Any, **changes: Any) -> Any:
    """A row of the snapshot, or a state, with some fields changed."""
    return structs.replace(value, **changes) if isinstance(value, Struct) else replace(value, **changes)


def change(rows: tuple[Any, ...], order_id: str, /, **changes: Any) -> tuple[Any, ...]:
    """The rows, one of them changed: a row with a state, or a state itself."""

    def changed(row: Any) -> Any:
        state = getattr(row, "state", None)
        if state is None:
            return copied(row, **changes) if _key(row) == order_id else row
        if state.order_id != order_id:
            return row
        of_row = {name: value for name, value in changes.items() if name in type(row).__slots__}
        of_state = {name: value for name, value in changes.items() if name not in of_row}
        return replace(row, state=copied(state, **of_state), **of_row)

    result = tuple(changed(row) for row in rows)
    assert result != rows, f"{order_id}: nothing was changed"
    return result


def _key(row: Any) -> str:
    return next(str(getattr(row, name)) for name in ("order_id", "sku", "id") if hasattr(row, name))

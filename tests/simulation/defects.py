"""Seeded defects, each a small change to one rule of a design."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from msgspec import structs

from checkout import messages as m
from checkout.saga import CHECKOUT
from inventory_service import domain as inventory
from order_service import domain as order
from order_service import handlers as order_handlers
from payment_service import domain as payment
from payment_service import gateway
from payment_service import handlers as payment_handlers
from sagakit.message import Event
from sagakit.provider import ProviderCall
from sagakit.service import Handler, ProviderPort, Retention
from sagakit.topology import CHOREOGRAPHY
from shipping_service import domain as shipping
from shipping_service import handlers as shipping_handlers
from tests.simulation.design import Design
from tests.simulation.memory import BLANK


def forgetful(design: Design, name: str, undone: type[Event], status_of: Callable[[Any], str]) -> Design:
    """An undo that finds nothing leaves no tombstone."""
    evolve = design.services[name].evolve

    def mutated(state: Any, event: Event) -> Any:
        return state if isinstance(event, undone) and status_of(state) == "NEW" else evolve(state, event)

    return design.with_service(name, evolve=mutated)


def oversell(design: Design) -> Design:
    def decide(command: m.ReserveStock, stock: inventory.StockState) -> Event:
        return m.StockReserved(command.order_id, command.checkout)

    def take(item: inventory.StockItem, quantity: int) -> inventory.StockItem:
        return structs.replace(item, available=item.available - quantity, reserved=item.reserved + quantity)

    def evolve(stock: inventory.StockState, event: Event) -> inventory.StockState:
        if not isinstance(event, m.StockReserved):
            return inventory.evolve(stock, event)
        lines = {line.sku: line.quantity for line in event.checkout.lines}
        items = {sku: take(item, lines.get(sku, 0)) for sku, item in stock.items.items()}
        return inventory.StockState(structs.replace(stock.reservation, status=inventory.RESERVED, lines=lines), items)

    return design.with_handler("inventory", m.ReserveStock, decide).with_service("inventory", evolve=evolve)


def partial_reservation(design: Design) -> Design:
    decide = design.services["inventory"].commands[m.ReserveStock].decide

    def mutated(command: m.ReserveStock, stock: inventory.StockState) -> Event:
        there = tuple(line for line in command.checkout.lines if stock.items[line.sku].available >= line.quantity)
        return decide(structs.replace(command, checkout=structs.replace(command.checkout, lines=there[:1])), stock)

    return design.with_handler("inventory", m.ReserveStock, mutated)


def released_twice(design: Design) -> Design:
    def evolve(stock: inventory.StockState, event: Event) -> inventory.StockState:
        if isinstance(event, m.StockReleased) and stock.reservation.status == inventory.RELEASED:
            held = structs.replace(stock.reservation, status=inventory.RESERVED)
            stock = structs.replace(stock, reservation=held)
        return inventory.evolve(stock, event)

    design = design.with_handler("inventory", m.ReleaseStock, lambda command, _: m.StockReleased(command.order_id))
    return design.with_service("inventory", evolve=evolve).without_machinery(inbox=False)


def stock_kept(design: Design) -> Design:
    def evolve(stock: inventory.StockState, event: Event) -> inventory.StockState:
        after = inventory.evolve(stock, event)
        return structs.replace(after, items=stock.items) if isinstance(event, m.StockReleased) else after

    return design.with_service("inventory", evolve=evolve)


def shared_key(design: Design) -> Design:
    def decide(command: m.PlaceOrder, state: order.Order) -> Event:
        return order_handlers.place_order(structs.replace(command, idempotency_key="key"), state)

    return design.with_handler("order", m.PlaceOrder, decide)


def unconditional_pivot(design: Design) -> Design:
    def evolve(state: order.Order, event: Event) -> order.Order:
        if isinstance(event, m.OrderConfirmed):
            return structs.replace(state, status=order.CONFIRMED)
        if isinstance(event, m.OrderCancelled):
            return structs.replace(state, status=order.CANCELLED, cancellation_reason=event.reason)
        return order.evolve(state, event)

    design = design.with_handler("order", m.ConfirmOrder, lambda command, _: m.OrderConfirmed(command.order_id))
    return boastful_cancel(design).with_service("order", evolve=evolve)


def boastful_cancel(design: Design) -> Design:
    """The customer is told that the order is cancelled, whatever was decided."""
    return design.with_handler(
        "order", m.CancelOrder, lambda command, _: m.OrderCancelled(command.order_id, command.reason)
    )


def mute_repeats(design: Design) -> Design:
    for name, service in design.services.items():
        commands = {kind: Handler(handler.decide, ()) for kind, handler in service.commands.items()}
        design = design.with_service(name, commands=commands)
    return design


def void_without_call(design: Design) -> Design:
    def decide(command: m.VoidPayment, state: payment.Payment) -> Event:
        event = payment_handlers.void_payment(command, state)
        return m.PaymentVoided(command.order_id) if isinstance(event, payment.PaymentVoidRequested) else event

    return design.with_handler("payment", m.VoidPayment, decide)


def void_does_not_wait(design: Design) -> Design:
    def decide(command: m.VoidPayment, state: payment.Payment) -> Event:
        event = payment_handlers.void_payment(command, state)
        return m.PaymentVoided(command.order_id) if isinstance(event, payment.PaymentVoidDeferred) else event

    return design.with_handler("payment", m.VoidPayment, decide)


def late_authorization_kept(design: Design) -> Design:
    def decide(command: payment.RecordAuthorization, state: payment.Payment) -> Event:
        event = payment_handlers.record_authorization(command, state)
        return m.PaymentVoided(command.order_id) if isinstance(event, payment.PaymentVoidRequested) else event

    return design.with_handler("payment", payment.RecordAuthorization, decide)


def late_booking_kept(design: Design) -> Design:
    def decide(command: shipping.RecordBooking, state: shipping.Shipment) -> Event:
        event = shipping_handlers.record_booking(command, state)
        wrong = isinstance(event, shipping.ShipmentCancellationRequested)
        return m.ShipmentCancelled(command.order_id) if wrong else event

    return design.with_handler("shipping", shipping.RecordBooking, decide)


def wrong_amount(design: Design) -> Design:
    def call(event: Event) -> ProviderCall | None:
        made = gateway.call(event)
        if made is None or made.operation != "capture":
            return made
        return replace(made, payload={**made.payload, "amount": {"amount": 1, "currency": "EUR"}})

    return design.with_service("payment", provider=ProviderPort(call, gateway.outcome, gateway.endings))


def hasty_completion(design: Design) -> Design:
    def decide(command: m.RecordStockSettled, state: order.Order) -> Event:
        event = order_handlers.record_stock_settled(command, state)
        return m.OrderCompleted(command.order_id) if state.status == order.CONFIRMED else event

    return design.with_handler("order", m.RecordStockSettled, decide)


def forgotten_answer(design: Design) -> Design:
    def evolve(state: order.Order, event: Event) -> order.Order:
        return state if isinstance(event, order.PaymentSettled) else order.evolve(state, event)

    return design.with_service("order", evolve=evolve)


def without_reaction(design: Design, name: str, to: type[Event], **instead: Any) -> Design:
    """No service acts on `to`: in choreography a reaction is missing, in orchestration a step has another event."""
    if design.style == CHOREOGRAPHY:
        reactions = {kind: react for kind, react in design.services[name].reactions.items() if kind is not to}
        return design.with_service(name, reactions=reactions)
    steps = tuple(replace(one, **instead) if one.participant == "payment" else one for one in CHECKOUT.steps)
    return replace(design, saga=replace(CHECKOUT, steps=steps))


def no_compensation_asked(design: Design) -> Design:
    if design.style == CHOREOGRAPHY:
        return without_reaction(design, "shipping", m.OrderCancelled)
    return replace(design, saga=replace(CHECKOUT, cancelled=m.CancellationSettled))


def owes_nothing(design: Design, status: str) -> Design:
    progress = design.services["order"].progress
    assert progress is not None

    def owed(state: order.Order) -> Event | None:
        return None if state.status == status else order.owed(state)

    return design.with_service("order", progress=replace(progress, owed=owed))


def commit_always_fails(design: Design) -> Design:
    def decide(command: m.CommitStock, stock: inventory.StockState) -> Event:
        raise ZeroDivisionError

    return design.with_handler("inventory", m.CommitStock, decide)


def pruned_early(design: Design) -> Design:
    """A hold is taken for an end."""
    retention = design.services["payment"].retention
    assert retention is not None
    return design.with_service(
        "payment", retention=replace(retention, ended=lambda state: state.status not in (payment.NEW, payment.CAPTURED))
    )


def final_row_forgotten(design: Design) -> Design:
    """Nothing is left of the payments and shipments that were pruned."""
    for name in ("payment", "shipping"):
        design = design.with_service(name, retention=_forgetting(design.services[name].retention, BLANK[name]))
    return design


def _forgetting(retention: Retention | None, blank: Callable[[str], Any]) -> Retention:
    assert retention is not None
    return replace(retention, final=lambda state: blank(state.order_id))


def final_row_decides(design: Design) -> Design:
    """A command about a pruned order is decided as if it were a new one."""
    for name in design.services:
        retention = design.services[name].retention
        assert retention is not None
        design = design.with_service(name, retention=_undetected(retention))
    return design


def _undetected(retention: Retention) -> Retention:
    seen = retention.pruned
    return replace(
        retention, pruned=lambda state: False, ended=lambda state: retention.ended(state) and not seen(state)
    )

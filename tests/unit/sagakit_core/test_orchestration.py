"""`advance` walks the saga, and the styles carry what it says."""

import pytest

from checkout import messages as m
from checkout.saga import CHECKOUT
from order_service.service import SERVICE as ORDER
from payment_service.service import SERVICE as PAYMENT
from sagakit.envelope import Envelope
from sagakit.message import Command, Event, Message, message_id
from sagakit.modes.styles import style_of
from sagakit.saga import advance
from sagakit.topology import CHOREOGRAPHY, ORCHESTRATION
from sagakit.work import Continue, Execute
from tests.contracts.samples import SAMPLES

Table = list[tuple[type[Event], list[type[Command]]]]
HOLDS: Table = [
    (m.OrderPlaced, [m.ReserveStock]),
    (m.StockReserved, [m.AuthorizePayment]),
    (m.PaymentAuthorized, [m.BookShipment]),
    (m.ShipmentBooked, [m.ConfirmOrder]),
]
ENDS: Table = [
    (m.OrderConfirmed, [m.CommitStock, m.CapturePayment, m.DispatchShipment]),
    (m.OrderCancelled, [m.ReleaseStock, m.VoidPayment, m.CancelShipment]),
]
ANSWERS: Table = [
    (m.StockCommitted, [m.RecordStockSettled]),
    (m.StockReleased, [m.RecordStockSettled]),
    (m.PaymentCaptured, [m.RecordPaymentSettled]),
    (m.PaymentVoided, [m.RecordPaymentSettled]),
    (m.ShipmentDispatched, [m.RecordShipmentSettled]),
    (m.ShipmentCancelled, [m.RecordShipmentSettled]),
    (m.OrderCompleted, []),
    (m.CancellationSettled, []),
]


def sample(kind: type[Message]) -> Message:
    return SAMPLES[kind.__name__]


def event_of(kind: type[Event]) -> Event:
    event = sample(kind)
    assert isinstance(event, Event)
    return event


@pytest.mark.parametrize(("kind", "commands"), HOLDS + ENDS + ANSWERS)
def test_every_event_leads_to_its_commands(kind: type[Event], commands: list[type[Command]]) -> None:
    event = event_of(kind)
    following = advance(CHECKOUT, event)
    assert [type(command) for command in following] == commands
    assert all(command.subject == event.subject for command in following)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (m.StockRejected, "OUT_OF_STOCK"),
        (m.PaymentDeclined, "PAYMENT_DECLINED"),
        (m.ShipmentRefused, "SHIPPING_UNAVAILABLE"),
    ],
)
def test_a_refusal_asks_the_pivot_to_cancel_for_its_reason(kind: type[Event], reason: str) -> None:
    event = event_of(kind)
    assert advance(CHECKOUT, event) == (m.CancelOrder(event.subject, reason),)


@pytest.mark.parametrize(("kind", "commands"), HOLDS[:3])
def test_a_hold_carries_the_snapshot_on(kind: type[Event], commands: list[type[Command]]) -> None:
    (command,) = advance(CHECKOUT, event_of(kind))
    assert command == sample(commands[0]) or isinstance(command, m.ReserveStock)
    assert command.checkout == sample(m.OrderPlaced).checkout  # type: ignore[attr-defined]


def test_every_public_event_leads_somewhere_or_ends_the_saga() -> None:
    silent = {kind for kinds in m.EVENTS_OF.values() for kind in kinds if not advance(CHECKOUT, event_of(kind))}
    assert silent == {m.OrderCompleted, m.CancellationSettled}


def test_the_orchestrator_puts_each_participants_commands_on_its_own_channel() -> None:
    style = style_of(ORCHESTRATION, ORDER, CHECKOUT)
    channels = {channel: type(message) for channel, message in style.outgoing(event_of(m.OrderCancelled))}
    assert channels == {
        "orchestration.inventory.commands": m.ReleaseStock,
        "orchestration.payment.commands": m.VoidPayment,
        "orchestration.shipping.commands": m.CancelShipment,
    }


def test_the_orchestrator_does_its_own_commands_and_carries_on_the_others() -> None:
    style = style_of(ORCHESTRATION, ORDER, CHECKOUT)
    booked, reserved = event_of(m.ShipmentBooked), event_of(m.StockReserved)
    assert style.accept(Envelope(booked, "shipping", traceparent="t")) == Execute(
        m.ConfirmOrder(booked.subject), message_id(booked), "t"
    )
    assert style.accept(Envelope(reserved, "inventory")) == Continue(reserved)
    assert style.accept(Envelope(sample(m.ReserveStock), "order")) is None
    assert style.accept(Envelope(event_of(m.OrderCompleted), "order")) is None


def test_a_participant_accepts_its_own_commands_only() -> None:
    style = style_of(ORCHESTRATION, PAYMENT, CHECKOUT)
    item = style.accept(Envelope(sample(m.VoidPayment), "order", cause="o/OrderCancelled"))
    assert isinstance(item, Execute)
    assert item.command == sample(m.VoidPayment)
    assert style.accept(Envelope(sample(m.ReserveStock), "order")) is None
    assert style.accept(Envelope(sample(m.OrderCancelled), "order")) is None


def test_in_choreography_a_service_reacts_by_its_own_table_and_names_the_event_as_the_cause() -> None:
    style = style_of(CHOREOGRAPHY, PAYMENT, CHECKOUT)
    cancelled = event_of(m.OrderCancelled)
    assert style.accept(Envelope(cancelled, "order", traceparent="t")) == Execute(
        m.VoidPayment(cancelled.subject), message_id(cancelled), "t"
    )
    assert style.accept(Envelope(event_of(m.ShipmentBooked), "shipping")) is None
    assert style.outgoing(event_of(m.PaymentVoided)) == (("choreography.payment.events", event_of(m.PaymentVoided)),)

"""Turns a simulated world into the snapshot that the production auditor reads from databases and ledger."""

from datetime import UTC, datetime, timedelta
from typing import Final

from checkout.messages import Money, OrderCancelled
from checkout_audit.invariants import INVARIANTS
from checkout_audit.rows import DeadLetterRow, InboxRow, JournalRow, LedgerRow, OrderRow, OutboxRow, PaymentRow, Records
from checkout_audit.snapshot import ClientObservation, Snapshot
from payment_service.domain import Payment, PaymentAuthorizationRequested
from sagakit.message import message_id
from sagakit.ports import CALLS
from tests.simulation.memory import Database
from tests.simulation.world import World

_START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_OWNER: Final = {"payment": "payment", "carrier": "shipping"}


def audit(world: World) -> dict[int, list[str]]:
    """The violations that the production invariants find, by number."""
    snapshot = snapshot_of(world)
    violations = {one.number: [f"{v.subject}: {v.what}" for v in one.check(snapshot)] for one in INVARIANTS}
    return {number: what for number, what in violations.items() if what}


def snapshot_of(world: World) -> Snapshot:
    """The snapshot of a world, in which every commit takes a second."""
    orders = [row for row in world.databases["order"].states.values() if row.checkout]
    payments = list(world.databases["payment"].states.values())
    totals = [_total(world, row) for row in payments]
    return Snapshot(
        orders=tuple(OrderRow(row, row.settled, row.checkout.customer) for row in orders),
        reservations=tuple(world.databases["inventory"].states.values()),
        stock=tuple(world.databases["inventory"].items.values()),
        payments=tuple(
            PaymentRow(row, total.amount if total else None, total.currency if total else None)
            for row, total in zip(payments, totals, strict=True)
        ),
        shipments=tuple(world.databases["shipping"].states.values()),
        services={
            name: _records(database, tuple(world.dead) if name == "order" else ())
            for name, database in world.databases.items()
        },
        ledger=tuple(
            LedgerRow(
                deed.order_id,
                deed.provider,
                deed.operation,
                deed.outcome,
                Money(*deed.amount) if deed.amount else None,
                deed.key,
                _START,
                _OWNER[deed.provider] if deed.provider in world.scenario.instant else "sandbox",
            )
            for deed in world.outside.ledger
        ),
        initial=dict(world.scenario.stock),
        history=tuple(_sights(world)),
    )


def _total(world: World, paid: Payment) -> Money | None:
    """What the columns beside the state say, which stay when the payment is pruned."""
    if paid.checkout is not None:
        return paid.checkout.total
    events = (record.entry.event for record in world.databases["payment"].forgotten)
    asked = (one for one in events if isinstance(one, PaymentAuthorizationRequested))
    return next((one.checkout.total for one in asked if one.order_id == paid.order_id), None)


def _sights(world: World) -> list[ClientObservation]:
    sights = []
    for command in world.scenario.orders:
        key, customer = command.idempotency_key, command.checkout.customer
        if command.order_id in world.databases["order"].states:
            sights.append(ClientObservation(key, command.order_id, "accepted", customer))
        for answer in world.told.get(command.order_id, ()):
            if isinstance(answer, OrderCancelled):
                sights.append(ClientObservation(key, command.order_id, "CANCELLED", customer))
    return sights


def _records(database: Database, dead: tuple[str, ...]) -> Records:
    journal: dict[str, JournalRow] = {}
    claimed: dict[str, datetime] = {}
    for seq, record in enumerate(database.journal, start=1):
        event, at = record.entry.event, _START + timedelta(seconds=record.tick)
        identity = message_id(event)
        claimed.setdefault(record.entry.command, at)
        row = JournalRow(identity, seq, event.subject, type(event).__name__, record.entry.command, event, at)
        journal.setdefault(identity, row)
    return Records(
        tuple(InboxRow(row.id, row.cause, claimed.get(row.id, _START)) for row in database.inbox.values()),
        tuple(journal.values()),
        tuple(OutboxRow(row.id, row.channel, row.channel == CALLS, 0, _START) for row in database.outbox.values()),
        tuple(DeadLetterRow(letter, letter, _START) for letter in dead),
    )

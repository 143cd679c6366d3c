"""What the auditor looks at: a read-only picture of four databases and the providers' ledger, as plain values.

A snapshot holds all orders, or a slice of them: everything whose subject lies in one range of ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from checkout.messages import SERVICES, Money
from checkout_audit.state_machines import ANSWERED_CALL, PROVIDER_OF
from inventory_service.domain import Reservation, StockItem
from order_service.domain import Order
from payment_service.domain import Payment
from sagakit.message import Event
from shipping_service.domain import Shipment

PLACEHOLDER: Final = "NEW"
CLOCK_TOLERANCE: Final = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order, and the columns beside its state."""

    state: Order
    settled: bool
    customer: str | None

    @property
    def order_id(self) -> str:
        return self.state.order_id

    @property
    def status(self) -> str:
        return self.state.status


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment, and the columns beside its state."""

    state: Payment
    amount: int | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A claimed command id, and the id of what led to it."""

    id: str
    cause: str | None
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A recorded event and the id of its command; `event` is None where its data cannot be read."""

    id: str
    seq: int
    subject: str
    name: str
    command: str
    event: Event | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message, or a call to a provider, that has not left yet."""

    id: str
    channel: str
    is_call: bool
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A message that was given up and that nobody has dealt with."""

    id: str
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """An effect at a provider. `source`: "sandbox", or the service in whose database an instant provider wrote."""

    order_id: str
    provider: str
    operation: str
    outcome: str
    amount: Money | None
    key: str
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Records:
    """What the machinery of one service has written down."""

    inbox: tuple[InboxRow, ...] = ()
    journal: tuple[JournalRow, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    dead_letters: tuple[DeadLetterRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientObservation:
    """What a client was told under a key: `seen` is accepted, COMPLETED, CANCELLED, refused, not cancelled or unknown.

    refused: the order was not taken; not cancelled: a cancellation came too late; unknown: no answer came.
    """

    key: str
    order_id: str | None
    seen: str
    customer: str | None = None


@dataclass(slots=True)
class OrderEvidence:
    """All that is known about one subject, an order or a restock. Rows with status NEW are `placeholders`.

    `unseen`: the providers that answered through a sandbox whose ledger could not be read.
    """

    subject: str
    order: OrderRow | None = None
    reservation: Reservation | None = None
    payment: PaymentRow | None = None
    shipment: Shipment | None = None
    placeholders: list[str] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    journal: dict[str, list[JournalRow]] = field(default_factory=dict)
    inbox: dict[str, list[InboxRow]] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()

    @property
    def status(self) -> str | None:
        """The order's status; None if there is no order."""
        return self.order.status if self.order else None

    def effects(self, provider: str, operation: str, outcome: str | None = "ok") -> list[LedgerRow]:
        """The ledger's entries of one kind; with `outcome` None whatever the outcome."""
        return [
            row
            for row in self.ledger
            if (row.provider, row.operation) == (provider, operation) and outcome in (None, row.outcome)
        ]

    def recorded(self, service: str, name: str) -> JournalRow | None:
        """The first record of an event."""
        return next((row for row in self.journal.get(service, ()) if row.name == name), None)


@dataclass(frozen=True)
class Snapshot:
    """Rows as they were found. `initial` is the stock at first, by SKU; `accounted` the dead letters expected.

    `sandbox_seen`: whether `ledger` holds the sandbox's entries; where it does not, they are not missed.
    """

    orders: tuple[OrderRow, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    stock: tuple[StockItem, ...] = ()
    payments: tuple[PaymentRow, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    services: Mapping[str, Records] = field(default_factory=lambda: dict.fromkeys(SERVICES, Records()))
    ledger: tuple[LedgerRow, ...] = ()
    sandbox_seen: bool = True
    initial: Mapping[str, int] = field(default_factory=dict)
    history: tuple[ClientObservation, ...] | None = None
    accounted: frozenset[str] = frozenset()
    tolerance: timedelta = CLOCK_TOLERANCE

    @cached_property
    def cases(self) -> Mapping[str, OrderEvidence]:
        """Everything by subject; of rows with the same key the last one."""
        return _cases(self)


def subject_of(identity: str) -> str:
    """The subject in a derived id."""
    return identity.rpartition("/")[0]


def name_of(identity: str) -> str:
    """The name of the message, or of the operation, in a derived id."""
    return identity.rpartition("/")[2]


def _cases(snapshot: Snapshot) -> dict[str, OrderEvidence]:
    cases: dict[str, OrderEvidence] = {}

    def case(subject: str) -> OrderEvidence:
        found = cases.get(subject)
        if found is None:
            found = cases[subject] = OrderEvidence(subject)
        return found

    for order in snapshot.orders:
        if order.status == PLACEHOLDER:
            case(order.order_id).placeholders.append("order")
        else:
            case(order.order_id).order = order
    for reservation in snapshot.reservations:
        if reservation.status == PLACEHOLDER:
            case(reservation.order_id).placeholders.append("inventory")
        else:
            case(reservation.order_id).reservation = reservation
    for payment in snapshot.payments:
        if payment.state.status == PLACEHOLDER:
            case(payment.state.order_id).placeholders.append("payment")
        else:
            case(payment.state.order_id).payment = payment
    for shipment in snapshot.shipments:
        if shipment.status == PLACEHOLDER:
            case(shipment.order_id).placeholders.append("shipping")
        else:
            case(shipment.order_id).shipment = shipment
    for entry in snapshot.ledger:
        case(entry.order_id).ledger.append(entry)
    for service, records in snapshot.services.items():
        for event in records.journal:
            case(event.subject).journal.setdefault(service, []).append(event)
        for claim in records.inbox:
            case(subject_of(claim.id)).inbox.setdefault(service, []).append(claim)
    for one in cases.values():
        for rows in one.journal.values():
            rows.sort(key=lambda row: row.seq)
        if not snapshot.sandbox_seen:
            one.unseen = frozenset(
                provider
                for service, provider in PROVIDER_OF.items()
                if any(name_of(claim.id) in ANSWERED_CALL for claim in one.inbox.get(service, ()))
            )
    return cases

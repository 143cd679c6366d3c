"""A snapshot: what four databases and the providers' ledger held at one moment, as plain values.

A snapshot holds all orders, or a slice of them: everything whose subject lies in one range of ids.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from checkout.messages import SERVICES
from checkout_audit.commands import ANSWERED_CALL, PROVIDER_OF
from checkout_audit.rows import (
    InboxRow,
    JournalRow,
    LedgerRow,
    OrderRow,
    PaymentRow,
    Records,
    UnreadableRow,
    name_of,
    subject_of,
)
from inventory_service.domain import Reservation, StockItem
from shipping_service.domain import Shipment

PLACEHOLDER: Final = "NEW"
"""The status of a row that was inserted only to be locked."""
CLOCK_TOLERANCE: Final = timedelta(milliseconds=100)
Late = Callable[[datetime, datetime], bool]
"""Whether a cause came after its effect."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What contradicts an invariant: `subject` is the order, SKU, message or key, `what` says what is wrong with it."""

    subject: str
    what: str


@dataclass(frozen=True, slots=True)
class ClientObservation:
    """What a client was told about an order, under an Idempotency-Key.

    `answer` is accepted, COMPLETED, CANCELLED, refused (the order was not taken), not cancelled (a cancellation came
    too late) or unknown (no answer came).
    """

    key: str
    order_id: str | None
    answer: str
    customer: str | None = None


@dataclass(slots=True)
class OrderEvidence:
    """All that is known about one subject, an order or a restock.

    `placeholders` are the services with an empty row for it, `odd` the rows that cannot be read; `unread` the providers
    that answered through a sandbox whose ledger could not be read.
    """

    subject: str
    order: OrderRow | None = None
    reservation: Reservation | None = None
    payment: PaymentRow | None = None
    shipment: Shipment | None = None
    placeholders: list[str] = field(default_factory=list)
    odd: list[UnreadableRow] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    journal: dict[str, list[JournalRow]] = field(default_factory=dict)
    inbox: dict[str, list[InboxRow]] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    @property
    def status(self) -> str | None:
        """The order's status; None if there is no order."""
        return self.order.status if self.order else None

    def effects(self, provider: str, operation: str, outcome: str | None = "ok") -> list[LedgerRow]:
        """The ledger's entries of one operation, with one outcome or, if it is None, with any."""
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
    """Rows as they were read.

    `initial` is the stock at first, by SKU. `sandbox_read` says whether `ledger` holds the sandbox's entries; if not,
    their absence is no violation. `history` is what clients were told, None if nothing is known about it. `accounted`
    are the ids of dead letters that are expected. `tolerance` is by how much the clocks of two databases may differ.
    `unreadable` are the rows of orders that cannot be read, and so are not among the others.
    """

    orders: tuple[OrderRow, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    stock: tuple[StockItem, ...] = ()
    payments: tuple[PaymentRow, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    services: Mapping[str, Records] = field(default_factory=lambda: dict.fromkeys(SERVICES, Records()))
    ledger: tuple[LedgerRow, ...] = ()
    sandbox_read: bool = True
    initial: Mapping[str, int] = field(default_factory=dict)
    history: tuple[ClientObservation, ...] | None = None
    accounted: frozenset[str] = frozenset()
    tolerance: timedelta = CLOCK_TOLERANCE
    unreadable: tuple[UnreadableRow, ...] = ()

    def late(self, cause: datetime, effect: datetime) -> bool:
        """Whether a cause came after its effect, by more than two clocks may differ."""
        return cause > effect + self.tolerance

    @cached_property
    def evidence(self) -> Mapping[str, OrderEvidence]:
        """Everything by subject; of several rows with the same key the last one."""
        by_subject = _BySubject()
        for service, part, row in self._entities():
            state = getattr(row, "state", row)
            evidence = by_subject[state.order_id]
            if state.status == PLACEHOLDER:
                evidence.placeholders.append(service)
            else:
                setattr(evidence, part, row)
        for odd in self.unreadable:
            by_subject[odd.order_id].odd.append(odd)
        for entry in self.ledger:
            by_subject[entry.order_id].ledger.append(entry)
        for service, records in self.services.items():
            for event in sorted(records.journal, key=lambda row: row.seq):
                by_subject[event.subject].journal.setdefault(service, []).append(event)
            for claim in records.inbox:
                by_subject[subject_of(claim.id)].inbox.setdefault(service, []).append(claim)
        if not self.sandbox_read:
            for evidence in by_subject.values():
                evidence.unread = _sandboxed(evidence)
        return dict(by_subject)

    def _entities(self) -> Iterator[tuple[str, str, Any]]:
        """Each row of a service's own table, with the service and the field of OrderEvidence that it belongs in."""
        yield from (("order", "order", row) for row in self.orders)
        yield from (("inventory", "reservation", row) for row in self.reservations)
        yield from (("payment", "payment", row) for row in self.payments)
        yield from (("shipping", "shipment", row) for row in self.shipments)


class _BySubject(dict[str, OrderEvidence]):
    def __missing__(self, subject: str) -> OrderEvidence:
        evidence = self[subject] = OrderEvidence(subject)
        return evidence


def _sandboxed(evidence: OrderEvidence) -> frozenset[str]:
    """The providers that answered through a sandbox: an instant provider's answer needs no claim."""
    return frozenset(
        provider
        for service, provider in PROVIDER_OF.items()
        if any(name_of(claim.id) in ANSWERED_CALL for claim in evidence.inbox.get(service, ()))
    )

"""Invariants 5 and 6: no stock and no money appears or disappears."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from checkout.provider_rules import OPERATIONS
from checkout_audit.rows import LedgerRow
from checkout_audit.snapshot import OrderEvidence, Snapshot, Violation
from inventory_service.domain import COMMITTED, RESERVED, StockItem, StockReceived
from order_service.domain import COMPLETED

OUTCOMES: Final = {"authorize": ("ok", "declined"), "book": ("ok", "refused")}
"""Operation -> its possible outcomes; those of other operations are ok."""


@dataclass(slots=True)
class StockTotals:
    """What was received, and what reservations hold: per SKU, the sums over any number of snapshots."""

    received: Counter[str] = field(default_factory=Counter)
    held: dict[str, Counter[str]] = field(default_factory=lambda: {RESERVED: Counter(), COMMITTED: Counter()})

    def add(self, snapshot: Snapshot) -> None:
        """Count the reservations and restocks of a snapshot, and what was there at first."""
        self.received.update(snapshot.initial)
        for reservation in snapshot.reservations:
            self.hold(reservation.status, reservation.lines)
        for row in snapshot.services["inventory"].journal:
            if isinstance(row.event, StockReceived):
                self.received[row.event.sku] += row.event.quantity

    def hold(self, status: str, lines: Mapping[str, int]) -> None:
        """Count one reservation."""
        if status in self.held:
            held = self.held[status]
            for sku, quantity in lines.items():
                held[sku] += quantity

    def include(self, others: "StockTotals") -> None:
        """Count what others have counted."""
        self.received.update(others.received)
        for status, held in others.held.items():
            self.held[status].update(held)

    def violations(self, stock: Iterable[StockItem]) -> list[Violation]:
        """What the stock items say otherwise."""
        violations: list[Violation] = []
        reserved, committed = self.held[RESERVED], self.held[COMMITTED]
        named = set()
        for item in stock:
            named.add(item.sku)
            expected = (self.received[item.sku], reserved[item.sku], committed[item.sku])
            violations += [Violation(item.sku, what) for what in _unbalanced(item, *expected)]
        missing = (set(self.received) | set(reserved) | set(committed)) - named
        violations += [Violation(sku, "is sold, held or received, but has no stock item") for sku in sorted(missing)]
        return violations


def stock_is_conserved(snapshot: Snapshot) -> list[Violation]:
    """5: per SKU, what came in is available, reserved or committed, and the reservations say the same."""
    totals = StockTotals()
    totals.add(snapshot)
    return totals.violations(snapshot.stock)


def _unbalanced(item: StockItem, received: int, reserved: int, committed: int) -> Iterator[str]:
    if min(item.received, item.available, item.reserved, item.committed) < 0:
        yield f"has a negative quantity: {item}"
    if (total := item.available + item.reserved + item.committed) != item.received:
        yield f"has {total} available, reserved and committed, but received {item.received}"
    if item.received != received:
        yield f"says that it received {item.received}; at first and by restocking it got {received}"
    if item.reserved != reserved:
        yield f"says that {item.reserved} are reserved; open reservations hold {reserved}"
    if item.committed != committed:
        yield f"says that {item.committed} are committed; committed reservations hold {committed}"


def money_is_conserved(snapshot: Snapshot) -> list[Violation]:
    """6: the provider's ledger shows the order's total, captured once, if COMPLETED, and otherwise nothing."""
    return [
        Violation(evidence.subject, what)
        for evidence in snapshot.evidence.values()
        for check in (_well_formed, _once, _balanced)
        for what in check(evidence)
    ]


def _well_formed(evidence: OrderEvidence) -> Iterator[str]:
    for row in evidence.ledger:
        if row.operation not in OPERATIONS.get(row.provider, ()):
            yield f"the ledger has an entry {row.provider}/{row.operation}, which is no operation"
        elif row.outcome not in OUTCOMES.get(row.operation, ("ok",)):
            yield f"the ledger has an entry {row.operation} {row.outcome}, which is no outcome"
        if row.key != f"{row.order_id}/{row.operation}":
            yield f"{row.operation} was called under the key {row.key}, which is not the derived one"


def _once(evidence: OrderEvidence) -> Iterator[str]:
    for operation in OPERATIONS["payment"]:
        if (count := len(evidence.effects("payment", operation, None))) > 1:
            yield f"the provider's ledger has {count} x {operation}"


def _balanced(evidence: OrderEvidence) -> Iterator[str]:
    if evidence.order is None or evidence.order.state.checkout is None or "payment" in evidence.unread:
        return
    total = evidence.order.state.checkout.total
    for operation in OPERATIONS["payment"]:
        for row in evidence.effects("payment", operation, None):
            if row.amount != total:
                yield f"the order's total is {total.amount} {total.currency}, but {operation} is of {_money(row)}"
    authorized, captures, voids = (evidence.effects("payment", operation) for operation in OPERATIONS["payment"])
    captured = sum(row.amount.amount for row in captures if row.amount)
    expected = total.amount if evidence.status == COMPLETED else 0
    if captured != expected:
        yield f"is {evidence.status}: {expected} should have been captured, the ledger says {captured}"
    if (captures or voids) and not authorized:
        yield "was captured or voided at the provider without an authorization"
    if captures and voids:
        yield "was both captured and voided at the provider"
    if evidence.order.state.settled and authorized and not captures and not voids:
        yield "is settled, but its authorization is still open at the provider"


def _money(row: LedgerRow) -> str:
    return f"{row.amount.amount} {row.amount.currency}" if row.amount else "no amount"

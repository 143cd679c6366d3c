"""Invariants 1 and 2: every accepted order exists exactly once, and has come to an end."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from checkout_audit.rows import OrderRow, name_of, subject_of
from checkout_audit.snapshot import PLACEHOLDER, Snapshot, Violation
from order_service import domain

FINAL: Final = (domain.COMPLETED, domain.CANCELLED)
REASONS: Final = frozenset(
    {
        domain.OUT_OF_STOCK,
        domain.PAYMENT_DECLINED,
        domain.SHIPPING_UNAVAILABLE,
        domain.TIMED_OUT,
        domain.CUSTOMER_REQUESTED,
        domain.UNKNOWN_ORDER,
    }
)


def accepted(snapshot: Snapshot) -> dict[str, str]:
    """The ids of the orders that were accepted, each with the id of the record that says so."""
    records = snapshot.services["order"]
    claimed = {subject_of(row.id): row.id for row in records.inbox if name_of(row.id) == "PlaceOrder"}
    return claimed | {row.subject: row.id for row in records.journal if row.name == "OrderPlaced"}


def placed(snapshot: Snapshot) -> list[OrderRow]:
    """The rows that are orders, not placeholders."""
    return [row for row in snapshot.orders if row.status != PLACEHOLDER]


def exist_once(snapshot: Snapshot) -> list[Violation]:
    """1: accepted = existing, one order per key, one key per order."""
    return [*accepted_is_existing(snapshot), *one_order_per_key(snapshot)]


def accepted_is_existing(snapshot: Snapshot) -> list[Violation]:
    """The part of 1 that looks at each order by itself."""
    rows, sources = placed(snapshot), accepted(snapshot)
    counts = Counter(row.order_id for row in rows)
    violations = [Violation(order_id, f"exists {count} times") for order_id, count in counts.items() if count > 1]
    violations += [
        Violation(order_id, f"was accepted ({source}) and does not exist")
        for order_id, source in sources.items()
        if order_id not in counts
    ]
    for row in rows:
        violations += [Violation(row.order_id, what) for what in _origin(row, row.order_id in sources)]
    return violations


def one_order_per_key(snapshot: Snapshot) -> list[Violation]:
    """The part of 1 that compares orders with each other."""
    violations: list[Violation] = []
    owners: dict[tuple[str, str], str] = {}
    for row in placed(snapshot):
        if row.customer is None or not row.state.idempotency_key or row.state.disowned:
            continue
        first = owners.setdefault((row.customer, row.state.idempotency_key), row.order_id)
        if first != row.order_id:
            violations.append(Violation(row.order_id, f"has the same customer and Idempotency-Key as {first}"))
    return violations


def _origin(row: OrderRow, is_accepted: bool) -> Iterator[str]:
    """Check where an order comes from."""
    if row.state.disowned:
        if is_accepted or row.customer is not None or row.status != domain.CANCELLED:
            yield "was placed, and yet disowned as unknown"
        return
    if not is_accepted and not row.state.pruned:
        yield "exists without ever having been accepted"
    if not row.state.idempotency_key or row.customer is None:
        yield "has no Idempotency-Key, or no customer"


def ended(snapshot: Snapshot) -> list[Violation]:
    """2: COMPLETED, or CANCELLED for a known reason, and settled by all three participants."""
    return [Violation(row.order_id, what) for row in placed(snapshot) for what in _unfinished(row)]


def _unfinished(row: OrderRow) -> Iterator[str]:
    state = row.state
    if state.status not in FINAL:
        yield f"is still {state.status}"
    flags = {
        "inventory": state.stock_settled,
        "payment": state.payment_settled,
        "shipping": state.shipment_settled,
    }
    missing = [participant for participant, settled in flags.items() if not settled]
    if state.status in FINAL and missing:
        yield f"is {state.status}, but has no answer from {', '.join(missing)}"
    if row.settled is not state.settled:
        yield f"says settled={row.settled}, its answers say {state.settled}"
    if state.status == domain.CANCELLED and state.cancellation_reason not in REASONS:
        yield f"is CANCELLED for no known reason: {state.cancellation_reason}"
    if state.status != domain.CANCELLED and state.cancellation_reason is not None:
        yield f"is {state.status}, but has the cancellation reason {state.cancellation_reason}"

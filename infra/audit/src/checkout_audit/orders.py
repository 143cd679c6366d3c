"""Invariants 1 and 2: every accepted order exists exactly once, and has come to an end."""

from collections import Counter
from typing import Final

from checkout_audit.invariant import Violation
from checkout_audit.snapshot import PLACEHOLDER, OrderRow, Snapshot, name_of, subject_of
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
    """The orders that were accepted, by what says so."""
    records = snapshot.services["order"]
    claimed = {subject_of(row.id): row.id for row in records.inbox if name_of(row.id) == "PlaceOrder"}
    return claimed | {row.subject: row.id for row in records.journal if row.name == "OrderPlaced"}


def placed(snapshot: Snapshot) -> list[OrderRow]:
    """The rows that are orders, and not placeholders of one."""
    return [row for row in snapshot.orders if row.status != PLACEHOLDER]


def exist_once(snapshot: Snapshot) -> list[Violation]:
    """1: accepted = existing, one order per key, one key per order."""
    found: list[Violation] = []
    orders, evidence = placed(snapshot), accepted(snapshot)
    for order_id, count in Counter(row.order_id for row in orders).items():
        if count > 1:
            found.append(Violation(order_id, f"exists {count} times"))
    existing = {row.order_id for row in orders}
    for order_id, source in evidence.items():
        if order_id not in existing:
            found.append(Violation(order_id, f"was accepted ({source}) and does not exist"))
    owner: dict[tuple[str | None, str], str] = {}
    for row in orders:
        if row.state.disowned:
            if row.order_id in evidence or row.customer is not None or row.status != domain.CANCELLED:
                found.append(Violation(row.order_id, "was placed, and yet disowned as unknown"))
            continue
        if row.order_id not in evidence:
            found.append(Violation(row.order_id, "exists without ever having been accepted"))
        if not row.state.idempotency_key or row.customer is None:
            found.append(Violation(row.order_id, "has no Idempotency-Key, or no customer"))
            continue
        first = owner.setdefault((row.customer, row.state.idempotency_key), row.order_id)
        if first != row.order_id:
            found.append(Violation(row.order_id, f"has the same customer and Idempotency-Key as {first}"))
    return found


def ended(snapshot: Snapshot) -> list[Violation]:
    """2: COMPLETED, or CANCELLED for a known reason, and settled by all three participants."""
    return [Violation(row.order_id, what) for row in placed(snapshot) for what in _unfinished(row)]


def _unfinished(row: OrderRow) -> list[str]:
    found: list[str] = []
    state = row.state
    if state.status not in FINAL:
        found.append(f"is still {state.status}")
    flags = {
        "inventory": state.stock_settled,
        "payment": state.payment_settled,
        "shipping": state.shipment_settled,
    }
    missing = [participant for participant, settled in flags.items() if not settled]
    if state.status in FINAL and missing:
        found.append(f"is {state.status}, but has no answer from {', '.join(missing)}")
    if row.settled is not state.settled:
        found.append(f"says settled={row.settled}, its answers say {state.settled}")
    if state.status == domain.CANCELLED and state.cancellation_reason not in REASONS:
        found.append(f"is CANCELLED for no known reason: {state.cancellation_reason}")
    if state.status != domain.CANCELLED and state.cancellation_reason is not None:
        found.append(f"is {state.status}, but has the cancellation reason {state.cancellation_reason}")
    return found

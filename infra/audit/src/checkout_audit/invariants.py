"""The ten invariants: the table of contents of the audit."""

from typing import Final

from checkout_audit.clients import clients_were_told_the_truth
from checkout_audit.conservation import money_is_conserved, stock_is_conserved
from checkout_audit.history import history_is_a_path
from checkout_audit.invariant import Invariant, Scope, Violation
from checkout_audit.leftovers import no_orphans, nothing_left
from checkout_audit.orders import accepted, ended, exist_once, placed
from checkout_audit.outcomes import cancelled_means_undone, completed_means_done
from checkout_audit.snapshot import Snapshot
from order_service.domain import CANCELLED, COMPLETED

__all__ = ["INVARIANTS", "Invariant", "Scope", "Violation"]


def _with_status(snapshot: Snapshot, status: str) -> int:
    return sum(row.status == status for row in snapshot.orders)


def _belongings(snapshot: Snapshot) -> int:
    rows = (snapshot.reservations, snapshot.payments, snapshot.shipments, snapshot.ledger)
    return sum(len(one) for one in rows)


INVARIANTS: Final = (
    Invariant(
        1,
        "accepted once",
        "every accepted order exists exactly once, and its Idempotency-Key maps to exactly one order",
        Scope.WHOLE,
        exist_once,
        lambda snapshot: len(accepted(snapshot)),
    ),
    Invariant(
        2,
        "ended",
        "every order is COMPLETED, or CANCELLED and settled",
        Scope.SLICE,
        ended,
        lambda snapshot: len(placed(snapshot)),
    ),
    Invariant(
        3,
        "completed is done",
        "COMPLETED if and only if stock committed, payment captured, shipment dispatched, once and as ordered",
        Scope.SLICE,
        completed_means_done,
        lambda snapshot: _with_status(snapshot, COMPLETED),
    ),
    Invariant(
        4,
        "cancelled is undone",
        "CANCELLED if and only if nothing is held, committed, charged, booked or sent",
        Scope.SLICE,
        cancelled_means_undone,
        lambda snapshot: _with_status(snapshot, CANCELLED),
    ),
    Invariant(
        5,
        "stock is conserved",
        "per SKU: available + reserved + committed = received, and the reservations say the same",
        Scope.WHOLE,
        stock_is_conserved,
        lambda snapshot: len(snapshot.stock),
    ),
    Invariant(
        6,
        "money is conserved",
        "by the provider's own ledger the total is captured once if COMPLETED, and nothing otherwise",
        Scope.SLICE,
        money_is_conserved,
        lambda snapshot: len(snapshot.ledger),
    ),
    Invariant(
        7,
        "no orphans",
        "no reservation, payment, shipment or provider's entry without its order",
        Scope.SLICE,
        no_orphans,
        _belongings,
    ),
    Invariant(
        8,
        "nothing left",
        "outboxes empty, no claim without its effect, no dead letter unaccounted for",
        Scope.SLICE,
        nothing_left,
        lambda snapshot: sum(len(records.inbox) for records in snapshot.services.values()),
    ),
    Invariant(
        9,
        "history is a path",
        "recorded events form a path of the state machine, none twice, no step before its cause",
        Scope.SLICE,
        history_is_a_path,
        lambda snapshot: sum(len(records.journal) for records in snapshot.services.values()),
    ),
    Invariant(
        10,
        "clients know the truth",
        "what was accepted exists, what a client was told to be final is final, a key means one order",
        Scope.WHOLE,
        clients_were_told_the_truth,
        lambda snapshot: len(snapshot.history or ()),
    ),
)

"""The ten invariants, each with its number, name, meaning and check: the table of contents of the audit."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from checkout_audit.clients import clients_were_told_the_truth
from checkout_audit.conservation import money_is_conserved, stock_is_conserved
from checkout_audit.history import history_is_a_path
from checkout_audit.leftovers import no_orphans, nothing_left
from checkout_audit.orders import accepted, ended, exist_once, placed
from checkout_audit.outcomes import cancelled_means_undone, completed_means_done
from checkout_audit.snapshot import Snapshot, Violation
from order_service.domain import CANCELLED, COMPLETED


class Scope(Enum):
    """What an invariant is judged on.

    A key of two orders in two slices contradicts invariant 1, which `streaming` looks for besides.
    """

    SLICE = "everything about some subjects"
    WHOLE = "all of them together: sums, and what clients were told"


@dataclass(frozen=True, slots=True)
class Invariant:
    """`check` finds the violations, and is pure; `population` counts what it checks, for 0 checked proves nothing."""

    number: int
    name: str
    meaning: str
    scope: Scope
    check: Callable[[Snapshot], list[Violation]]
    population: Callable[[Snapshot], int]


def _with_status(snapshot: Snapshot, status: str) -> int:
    return sum(row.status == status for row in snapshot.orders)


def _belongings(snapshot: Snapshot) -> int:
    rows = (snapshot.reservations, snapshot.payments, snapshot.shipments, snapshot.ledger)
    return sum(map(len, rows))


INVARIANTS: Final = (
    Invariant(
        1,
        "accepted once",
        "every accepted order exists exactly once, and its Idempotency-Key maps to exactly one order",
        Scope.SLICE,
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

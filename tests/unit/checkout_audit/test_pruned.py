"""Orders beyond retention: what is left of them is checked, also against the provider's ledger."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from checkout_audit.report import judge
from checkout_audit.rows import InboxRow, Records, subject_of
from checkout_audit.snapshot import Snapshot
from tests.unit.checkout_audit.edits import LONG_AGO, add_row, ledger, order, payment, reservation, shipment, without
from tests.unit.checkout_audit.renamed import named, renamed, together
from tests.unit.checkout_audit.test_shapes import findings, streamed
from tests.unit.checkout_audit.world import copied, every_kind

SERVICES = ("order", "inventory", "payment", "shipping")
SOME = {"completed": SERVICES, "withdrawn": SERVICES, "declined": ("payment", "inventory"), "instant": ("order",)}


def pruned(snapshot: Snapshot, whose: dict[str, tuple[str, ...]] | None = None) -> Snapshot:
    """The snapshot after pruning: some orders everywhere, others only by some services yet."""

    def gone(subject: str, service: str) -> bool:
        return service in (whose or SOME).get(subject, ())

    def records(service: str, mine: Records) -> Records:
        return replace(
            mine,
            inbox=tuple(row for row in mine.inbox if not gone(subject_of(row.id), service)),
            journal=tuple(row for row in mine.journal if not gone(row.subject, service)),
        )

    return replace(
        snapshot,
        orders=tuple(
            replace(row, state=copied(row.state, pruned=True)) if gone(row.order_id, "order") else row
            for row in snapshot.orders
        ),
        reservations=tuple(
            copied(row, pruned=True) if gone(row.order_id, "inventory") else row for row in snapshot.reservations
        ),
        payments=tuple(
            replace(row, state=copied(row.state, pruned=True, checkout=None))
            if gone(row.state.order_id, "payment")
            else row
            for row in snapshot.payments
        ),
        shipments=tuple(
            copied(row, pruned=True, checkout=None) if gone(row.order_id, "shipping") else row
            for row in snapshot.shipments
        ),
        services={service: records(service, mine) for service, mine in snapshot.services.items()},
    )


@pytest.fixture(scope="module")
def clean() -> Snapshot:
    return pruned(every_kind().snapshot())


def test_what_is_left_of_pruned_orders_is_consistent_and_counted(clean: Snapshot) -> None:
    report = judge(clean)
    assert [one.violations for one in report.findings] == [[]] * 10
    assert report.tally.pruned == 3
    assert report.tally.orders == judge(every_kind().snapshot()).tally.orders


def test_pruned_orders_of_one_shape_are_read_as_values_once(clean: Snapshot) -> None:
    many = together(*(renamed(clean, f"{number}") for number in range(5)))
    report, asked = streamed(many)
    assert findings(report) == findings(judge(many))
    assert report.tally == judge(many).tally
    assert sum(subject == named(f"{number}")("completed") for subject in asked for number in range(5)) == 1


@pytest.mark.parametrize(
    ("caught_by", "defect"),
    [
        (2, order("completed", payment_settled=False, settled=False)),
        (2, order("withdrawn", status="PENDING", cancellation_reason=None)),
        (3, payment("completed", status="AUTHORIZED")),
        (3, payment("completed", amount=1)),
        (3, payment("completed", pruned=False)),
        (3, shipment("completed", status="BOOKED")),
        (3, reservation("completed", lines={"cup": 2})),
        (3, without("payments", "completed")),
        (3, ledger("completed/dispatch")),
        (4, payment("withdrawn", status="CAPTURED")),
        (4, reservation("withdrawn", status="RESERVED", closed=False)),
        (5, reservation("completed", lines={"cup": 2})),
        (6, ledger("completed/capture")),
        (6, ledger("withdrawn/void")),
        (7, without("orders", "completed")),
        (8, add_row("payment", "inbox", InboxRow("completed/VoidPayment", "completed/OrderCancelled", LONG_AGO))),
        (9, payment("declined", status="AUTHORIZED")),
        (9, payment("instant", pruned=True)),
    ],
)
def test_a_defect_of_a_pruned_order_is_found(
    caught_by: int, defect: Callable[[Snapshot], Snapshot], clean: Snapshot
) -> None:
    damaged = defect(clean)
    assert caught_by in judge(damaged).violated
    both = together(renamed(clean, "sound"), renamed(damaged, "damaged"))
    assert findings(streamed(both)[0]) == findings(judge(both))

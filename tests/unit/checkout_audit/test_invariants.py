"""Every defect is caught by the invariant that it contradicts; what is consistent is called so."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from checkout import messages as m
from checkout_audit.invariants import INVARIANTS
from checkout_audit.report import judge
from checkout_audit.rows import DeadLetterRow
from checkout_audit.snapshot import Snapshot
from inventory_service.domain import Reservation
from order_service.domain import DisownOrder, Order
from tests.unit.checkout_audit.edits import LONG_AGO, add_row, claim, order, without
from tests.unit.checkout_audit.mutants import MUTANTS, Mutant
from tests.unit.checkout_audit.world import World, change, checkout, copied, every_kind


@pytest.fixture(scope="module")
def clean() -> Snapshot:
    return every_kind().snapshot()


def problems(snapshot: Snapshot) -> list[str]:
    return [
        f"{one.invariant.number}: {v.subject}: {v.what}" for one in judge(snapshot).findings for v in one.violations
    ]


def test_a_consistent_system_has_no_violation(clean: Snapshot) -> None:
    assert problems(clean) == []


def test_every_invariant_checks_something(clean: Snapshot) -> None:
    assert all(finding.judged and finding.checked for finding in judge(clean).findings)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.caught_by}: {mutant.name}")
def test_a_single_defect_is_caught_by_the_invariant_that_it_contradicts(mutant: Mutant, clean: Snapshot) -> None:
    report = judge(mutant.mutate(clean))
    assert mutant.caught_by in report.violated, problems(mutant.mutate(clean))


def test_there_are_enough_mutants_of_every_kind() -> None:
    kinds = Counter(mutant.caught_by for mutant in MUTANTS)
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert all(kinds[invariant.number] >= 3 for invariant in INVARIANTS)


def test_the_invariants_are_numbered_in_order() -> None:
    assert [invariant.number for invariant in INVARIANTS] == list(range(1, 11))


def test_a_tombstone_is_no_orphan(clean: Snapshot) -> None:
    tombstone = replace(clean, reservations=(*clean.reservations, Reservation("ghost", "RELEASED", closed=True)))
    assert 7 not in judge(tombstone).violated


def _disowned() -> World:
    """A stranger's StockReserved made payment and shipping act for an order that was never placed."""
    world = every_kind()
    world.do(m.AuthorizePayment("ghost", checkout("ghost")), "ghost/StockReserved")
    world.do(m.BookShipment("ghost", checkout("ghost")), "ghost/PaymentAuthorized")
    world.do(DisownOrder("ghost"))
    for undo in (m.ReleaseStock("ghost"), m.VoidPayment("ghost"), m.CancelShipment("ghost")):
        world.do(undo, "ghost/OrderCancelled")
    world.do(m.RecordStockSettled("ghost"), "ghost/StockReleased")
    world.do(m.RecordPaymentSettled("ghost"), "ghost/PaymentVoided")
    world.do(m.RecordShipmentSettled("ghost"), "ghost/ShipmentCancelled")
    return world


def test_an_order_that_was_never_placed_and_is_undone_is_consistent() -> None:
    assert problems(_disowned().snapshot()) == []


def test_an_order_that_was_never_placed_and_still_holds_money_is_caught() -> None:
    snapshot = _disowned().snapshot()
    held = replace(snapshot, payments=change(snapshot.payments, "ghost", status="AUTHORIZED", closed=False))
    assert 4 in judge(held).violated


def test_an_order_that_was_placed_cannot_be_disowned(clean: Snapshot) -> None:
    lost = replace(clean, orders=change(clean.orders, "overdue", cancellation_reason="UNKNOWN_ORDER"))
    assert 1 in judge(lost).violated


def test_a_missing_cause_is_excused_only_for_orders_that_were_never_placed(clean: Snapshot) -> None:
    journal = clean.services["inventory"].journal
    without_cause = tuple(row for row in journal if row.id != "completed/StockReserved")
    records = replace(clean.services["inventory"], journal=without_cause)
    assert 9 in judge(replace(clean, services={**clean.services, "inventory": records})).violated


def test_a_placeholder_is_no_order(clean: Snapshot) -> None:
    row = replace(clean.orders[0], state=Order("ghost"), settled=False)
    report = judge(replace(clean, orders=(*clean.orders, row)))
    assert report.violated == {7}


def test_a_resolved_or_expected_dead_letter_is_accounted_for(clean: Snapshot) -> None:
    poisoned = add_row("order", "dead_letters", DeadLetterRow("f00", "poison", LONG_AGO))(clean)
    assert judge(poisoned).violated == {8}
    assert judge(replace(poisoned, accounted=frozenset({"f00"}))).consistent


def test_clocks_may_differ_by_the_tolerance(clean: Snapshot) -> None:
    event = next(row for row in clean.services["order"].journal if row.id == "completed/OrderPlaced")
    early = event.recorded_at - timedelta(milliseconds=50)
    hurried = claim("inventory", "completed/ReserveStock", claimed_at=early)(clean)
    assert judge(hurried).consistent
    assert judge(replace(hurried, tolerance=timedelta(0))).violated == {9}


def test_without_a_history_the_clients_are_not_judged(clean: Snapshot) -> None:
    report = judge(replace(clean, history=None))
    assert report.consistent
    assert not report.findings[-1].judged


def test_entries_of_a_sandbox_that_cannot_be_read_are_not_missed(clean: Snapshot) -> None:
    instant = tuple(row for row in clean.ledger if row.source != "sandbox")
    blind = replace(clean, ledger=instant, sandbox_read=False)
    assert problems(blind) == []
    assert judge(blind).tally.unread == 11
    without_capture = tuple(row for row in instant if row.key != "instant/capture")
    assert {6, 9} <= judge(replace(blind, ledger=without_capture)).violated


def test_without_orders_nothing_is_checked() -> None:
    report = judge(Snapshot())
    assert report.consistent
    assert report.vacuous


def test_the_tally_counts_what_there_was(clean: Snapshot) -> None:
    tally = judge(clean).tally
    assert tally.orders == {"COMPLETED": 5, "CANCELLED": 10}
    assert tally.cancelled["PAYMENT_DECLINED"] == 2
    assert tally.captured == {"EUR": 5 * 3600}
    assert tally.compensations == {"stock released": 8, "payment voided": 5, "shipment cancelled": 2}
    assert tally.races["confirmation against cancellation"] == 2
    assert tally.races["do after undo, refused"] == 2


def test_violations_are_counted_beyond_those_that_are_kept(clean: Snapshot) -> None:
    template = next(row for row in clean.orders if row.order_id == "completed")
    many = tuple(replace(template, state=copied(template.state, order_id=f"{n}")) for n in range(1500))
    finding = judge(replace(clean, orders=many)).findings[0]
    assert finding.violated > 1500
    assert len(finding.violations) == 1000


def test_an_unsettled_order_is_named(clean: Snapshot) -> None:
    finding = judge(order("completed", status="CONFIRMED")(clean)).findings[1]
    assert [(one.subject, one.what) for one in finding.violations] == [("completed", "is still CONFIRMED")]


def test_a_missing_effect_names_the_order_everywhere(clean: Snapshot) -> None:
    report = judge(without("payments", "completed")(clean))
    assert {3, 9} <= report.violated
    assert {one.subject for finding in report.findings for one in finding.violations} == {"completed"}

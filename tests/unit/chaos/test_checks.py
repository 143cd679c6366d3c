"""The checks of a run: each may be true, false, or unknown for lack of evidence."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checks import CHECKS, verdict_of
from tests.chaos.evidence import Evidence
from tests.chaos.model import Check, Injection, Verdict
from tests.unit.chaos.evidences import KILL, PAUSE, PHASES, audited, fine, purchase, row, sample, violated

TRUE, FALSE, UNKNOWN = Verdict.TRUE, Verdict.FALSE, Verdict.UNKNOWN
GONE = Injection("pause", "order", 130.0, None, None, "still broken after 98 s")
UNFELT = Injection("pause", "inventory", 130.0, 140.0, False)
DOWN = Injection("pause", "order", 130.0, 140.0, True)


def lines(slow: Callable[[float], float | None]) -> list[Any]:
    """Two good orders a second; `slow` maps the time of arrival to the seconds until the answer."""
    times = [100.0 + number / 2 for number in range(130)]
    return [line for number, at in enumerate(times) for line in purchase(number, at, seconds=slow(at))]


def rows(*, without: tuple[float, float] = (0.0, 0.0)) -> list[Any]:
    """The orders behind them, those that came within the times left out."""
    times = [100.0 + number / 2 for number in range(130)]
    return [row(number, at) for number, at in enumerate(times) if not without[0] <= at <= without[1]]


@pytest.mark.parametrize("name", CHECKS)
def test_of_a_run_in_which_all_went_well_every_check_is_true(name: str) -> None:
    check = CHECKS[name](fine())
    assert (check.name, check.verdict) == (name, TRUE), check.detail
    assert check.detail


WRONG: list[tuple[str, Evidence, str]] = [
    ("audit", fine(audit=violated(6)), "6 (1 times); first: order-9: captured twice"),
    ("audit", fine(audit=audited(drained=False, notes=["not drained within 60 s"])), "not drained within 60 s"),
    ("ends", fine(orders=[row(0, 100.0, "PAYMENT_DECLINED")]), "order-0 (good): CANCELLED PAYMENT_DECLINED"),
    ("healed", fine(injections=[KILL, GONE]), "pause of order: still broken"),
    ("progress", fine(orders=rows(without=(129.0, 141.0))), "pause of inventory"),
    ("recovery", fine(lines=lines(lambda at: 0.2 if at < 129 else None if at < 140 else 9.0)), "9.0 s"),
    ("recovery", fine(lines=lines(lambda at: 0.2 if at < 135 else None)), "never"),
    ("settled", fine(orders=[*rows(), row(0, 120.0, settled=False)]), "1 orders are not settled"),
    ("settled", fine(orders=[row(0, 120.0, seconds=40.0)]), "20.0 s"),
    ("throughput", fine(lines=lines(lambda at: 0.2 if at < 155 else 6.0)), "before"),
    ("usage", fine(samples=[sample(110.0), sample(175.0, threads=40)]), "threads from 4 to 40"),
    ("usage", fine(samples=[sample(110.0), sample(175.0, memory=900 * 2**20)]), "memory from 80 MB to 900 MB"),
    ("usage", fine(samples=[sample(110.0), sample(175.0, files=400)]), "files from 30 to 400"),
    ("usage", fine(samples=[sample(110.0), sample(175.0, connections=90)]), "connections from 12 to 90"),
]


@pytest.mark.parametrize(("name", "evidence", "said"), WRONG)
def test_what_went_wrong_makes_its_check_false_with_a_reason(name: str, evidence: Evidence, said: str) -> None:
    check = CHECKS[name](evidence)
    assert check.verdict is FALSE, check.detail
    assert said in check.detail


NOTHING: list[tuple[str, Evidence, str]] = [
    ("audit", fine(audit=None, audit_error="no answer"), "no answer"),
    ("audit", fine(audit=audited(vacuous=True)), "no order"),
    ("ends", fine(orders=[]), "no order"),
    ("felt", fine(missing={"cut": "no Toxiproxy"}), "cut not run: no Toxiproxy"),
    ("felt", fine(faults=("kill", "pause", "cut")), "cut never fired"),
    ("felt", fine(injections=[KILL, UNFELT]), "pause fired 1 times and was never felt"),
    ("felt", fine(faults=(), injections=[]), "no fault was asked for"),
    ("compensated", fine(audit=audited(counts={"orders": {}, "compensations": {}})), "no order was compensated"),
    ("compensated", fine(audit=None), "no order was compensated"),
    ("healed", fine(injections=[]), "nothing was broken"),
    ("progress", fine(injections=[]), "lasted for"),
    ("progress", fine(injections=[DOWN], orders=rows(without=(129.0, 141.0))), "leaves the intake alone"),
    ("recovery", fine(injections=[]), "no time without a fault"),
    ("settled", fine(orders=[row(0, 150.0)]), "no order was accepted before"),
    ("throughput", fine(lines=lines(lambda at: 0.2)[:20]), "at least 20 each"),
    ("usage", fine(samples=[sample(110.0)]), "no process"),
]


@pytest.mark.parametrize(("name", "evidence", "said"), NOTHING)
def test_a_check_without_evidence_is_unknown(name: str, evidence: Evidence, said: str) -> None:
    check = CHECKS[name](evidence)
    assert check.verdict is UNKNOWN, check.detail
    assert said in check.detail


def test_a_fault_is_felt_when_one_of_its_injections_is() -> None:
    assert CHECKS["felt"](fine(injections=[KILL, UNFELT, PAUSE])).verdict is TRUE


def test_an_order_that_met_its_deadline_has_ended_as_it_may() -> None:
    check = CHECKS["ends"](fine(orders=[row(0, 100.0, "TIMED_OUT")]))
    assert (check.verdict, check.detail) == (TRUE, "1 orders ended as they must, 1 of them at their deadline")


def test_no_order_is_confirmed_long_after_its_deadline() -> None:
    for waited, verdict in ((89.0, TRUE), (91.0, FALSE)):
        order = replace(row(0, 100.0, seconds=95.0), confirmed=100.1 + waited)
        check = CHECKS["ends"](fine(orders=[order], deadline=60.0))
        assert check.verdict is verdict
    assert "order-0 (good): confirmed after 91 s" in check.detail


def test_the_intake_may_stop_with_the_order_service_but_not_with_one_of_its_replicas() -> None:
    silent = {"injections": [DOWN], "orders": rows(without=(129.0, 141.0))}
    assert CHECKS["progress"](fine(**silent, replicas=2)).verdict is FALSE
    beside = Injection("pause", "payment", 131.0, 139.0, True)
    assert CHECKS["progress"](fine(injections=[DOWN, beside], orders=silent["orders"])).verdict is UNKNOWN


def test_of_the_routes_of_the_order_service_only_the_one_to_its_database_may_stop_the_intake() -> None:
    silent = rows(without=(129.0, 141.0))
    for route, verdict in (("order->broker", FALSE), ("order->order-db", UNKNOWN)):
        cut = Injection("cut", route, 130.0, 140.0, True)
        assert CHECKS["progress"](fine(injections=[cut], orders=silent)).verdict is verdict


def test_overlapping_faults_are_recovered_from_once() -> None:
    overlapping = [Injection("a", "order", 10, 20), Injection("b", "payment", 15, 30), Injection("c", "order", 40, 41)]
    assert list(fine(injections=overlapping).clusters()) == [(10, 30), (40, 41)]
    assert list(fine(injections=[GONE]).clusters()) == [(130.0, PHASES.load_ended)]


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [((TRUE, TRUE), TRUE), ((TRUE, UNKNOWN), UNKNOWN), ((UNKNOWN, FALSE, TRUE), FALSE), ((), UNKNOWN)],
)
def test_a_run_is_as_good_as_its_worst_check(verdicts: tuple[Verdict, ...], verdict: Verdict) -> None:
    make: Callable[[Verdict], Check] = lambda one: Check("any", one, "")  # noqa: E731
    assert verdict_of([make(one) for one in verdicts]) is verdict

"""The report says of each part how long it took and whether that is within its budget, and what was left out."""

import pytest

from sagakit.modes import MODES
from tests.suite.budgets import BUDGETS, WORKERS, Budget
from tests.suite.choice import Choice
from tests.suite.parts import FOLDERS, POSTGRES, STANDBY, SWITCHING, conformance, end_to_end
from tests.suite.report import STATIC, WHOLE, Ledger

FEW = {STATIC: Budget(10), "slow": Budget(5, nightly=50), "quick": Budget(5), WHOLE: Budget(100, fast=9)}


def _lines(ledger: Ledger, static: float = 1, whole: float = 20) -> list[list[str]]:
    return [line.split() for line in ledger.lines(static, whole)]


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Choice(), FEW)
    for phase in (1.0, 6.0, 1.0):
        ledger.add("slow", "a", phase)
    ledger.add("slow", "b", 1.0)
    ledger.add("quick", "c", 0.5)
    return ledger


def test_phases_of_a_test_are_summed_and_a_test_counts_once(ledger: Ledger) -> None:
    assert ["slow", "2", "9", "5", "OVER"] in _lines(ledger)
    assert ["quick", "1", "0", "5", "within"] in _lines(ledger)


def test_the_whole_is_what_the_clock_says(ledger: Ledger) -> None:
    assert _lines(ledger)[-1] == ["the", "whole", "run", "3", "20", "100", "within"]
    assert _lines(ledger)[1] == ["static", "checks", "1", "10", "within"]


def test_a_nightly_run_and_a_fast_one_have_budgets_of_their_own(ledger: Ledger) -> None:
    ledger.choice = Choice(nightly=True)
    assert ["slow", "2", "9", "50", "within"] in _lines(ledger)
    ledger.choice = Choice(fast=True)
    assert _lines(ledger)[-1][-1] == "OVER"


def test_a_part_without_a_budget_is_shown_as_such(ledger: Ledger) -> None:
    ledger.add("new", "d", 1)
    assert ["new", "1", "1", "none", "HAS", "NO", "BUDGET"] in _lines(ledger)


def test_what_was_left_out_is_counted_by_reason(ledger: Ledger) -> None:
    ledger.left_out = {"are long (NIGHTLY=1 runs them)": 12}
    assert list(ledger.lines(1, 1))[-1] == "12 tests deselected, which are long (NIGHTLY=1 runs them)"


def test_the_whole_is_eighteen_minutes_and_fast_ninety_seconds() -> None:
    assert BUDGETS[WHOLE].of(Choice()) == 18 * 60
    assert BUDGETS[WHOLE].of(Choice(fast=True)) == 90


@pytest.mark.parametrize("choice", [Choice(), Choice(nightly=True)])
def test_the_parts_fit_into_the_whole_with_its_workers(choice: Choice) -> None:
    parts = [budget.of(choice) for part, budget in BUDGETS.items() if part not in (STATIC, WHOLE)]
    assert min(parts) > 0
    assert sum(parts) <= WORKERS * (BUDGETS[WHOLE].of(choice) - BUDGETS[STATIC].of(choice))


def test_every_part_has_a_budget() -> None:
    carriers = {conformance(mode.substrate) for mode in MODES.values()}
    assert carriers | set(FOLDERS.values()) | {POSTGRES, STANDBY, SWITCHING, *map(end_to_end, MODES)} <= BUDGETS.keys()

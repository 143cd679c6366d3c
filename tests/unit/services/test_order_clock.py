"""Deadlines while the database's clock is set forward or back."""

import pytest

from order_service.clock import Ahead, Look, Steps


def look(at: float, database: float, took: float = 0.01) -> Look:
    return Look(at, database, at + took)


def test_time_that_passes_is_no_step_however_long_a_look_takes() -> None:
    steps = Steps(30)
    assert steps.noticed(look(100, 5_000)) == 0
    assert steps.noticed(look(100.5, 5_000.5)) == 0
    assert steps.noticed(Look(101, 5_011, 111)) == 0
    assert steps.noticed(look(400, 5_300)) == 0


def test_the_first_look_notices_nothing() -> None:
    assert Steps(30).noticed(look(0, 1e9)) == 0


def test_a_step_forward_is_allowed_for_until_the_orders_before_it_are_overdue_in_truth() -> None:
    steps = Steps(30)
    steps.noticed(look(100, 5_000))
    assert steps.noticed(look(100.5, 8_600.5)) == pytest.approx(3_600, abs=0.1)
    assert steps.noticed(look(130, 8_630)) == pytest.approx(3_600, abs=0.1)
    assert steps.noticed(look(131, 8_631)) == 0


def test_two_steps_add_up_and_end_each_in_its_time() -> None:
    steps = Steps(30)
    steps.noticed(look(100, 5_000))
    steps.noticed(look(101, 5_101))
    assert steps.noticed(look(111, 5_211)) == pytest.approx(200, abs=1.5)
    assert steps.noticed(look(132, 5_232)) == pytest.approx(100, abs=1.5)
    assert steps.noticed(look(142, 5_242)) == 0


def test_a_clock_that_drifts_or_is_set_back_makes_no_order_look_older() -> None:
    steps = Steps(30)
    steps.noticed(look(100, 5_000))
    assert steps.noticed(look(101, 5_002.9)) == 0
    assert steps.noticed(look(102, 1_402)) == 0
    assert steps.noticed(look(103, 1_403)) == 0


def test_an_order_from_the_future_is_overdue_when_it_was_seen_for_as_long_as_the_deadline() -> None:
    ahead = Ahead(30)
    assert ahead.overdue(0, ["a"]) == []
    assert ahead.overdue(10, ["a", "b"]) == []
    assert ahead.overdue(30.5, ["a", "b"]) == ["a"]
    assert ahead.overdue(31, ["b"]) == []
    assert ahead.seen == ["b"]
    assert ahead.overdue(40.5, ["b"]) == ["b"]


def test_one_that_was_decided_and_seen_again_begins_anew() -> None:
    ahead = Ahead(30)
    ahead.overdue(0, ["a"])
    ahead.overdue(20, [])
    assert ahead.overdue(31, ["a"]) == []

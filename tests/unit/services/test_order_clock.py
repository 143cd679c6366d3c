"""Deadlines while the database's clock is set forward or back."""

import pytest

from order_service.clock import ClockReading, ClockSteps, FutureOrders


def reading(at: float, database: float, took: float = 0.01) -> ClockReading:
    return ClockReading(at, database, at + took)


def test_time_that_passes_is_no_step_however_long_a_reading_takes() -> None:
    steps = ClockSteps(30)
    assert steps.excess(reading(100, 5_000)) == 0
    assert steps.excess(reading(100.5, 5_000.5)) == 0
    assert steps.excess(ClockReading(101, 5_011, 111)) == 0
    assert steps.excess(reading(400, 5_300)) == 0


def test_the_first_reading_shows_no_step() -> None:
    assert ClockSteps(30).excess(reading(0, 1e9)) == 0


def test_a_step_forward_counts_until_the_orders_before_it_are_truly_overdue() -> None:
    steps = ClockSteps(30)
    steps.excess(reading(100, 5_000))
    assert steps.excess(reading(100.5, 8_600.5)) == pytest.approx(3_600, abs=0.1)
    assert steps.excess(reading(130, 8_630)) == pytest.approx(3_600, abs=0.1)
    assert steps.excess(reading(131, 8_631)) == 0


def test_two_steps_add_up_and_each_ends_after_the_deadline() -> None:
    steps = ClockSteps(30)
    steps.excess(reading(100, 5_000))
    steps.excess(reading(101, 5_101))
    assert steps.excess(reading(111, 5_211)) == pytest.approx(200, abs=1.5)
    assert steps.excess(reading(132, 5_232)) == pytest.approx(100, abs=1.5)
    assert steps.excess(reading(142, 5_242)) == 0


def test_a_clock_that_drifts_or_is_set_back_makes_no_order_look_older() -> None:
    steps = ClockSteps(30)
    steps.excess(reading(100, 5_000))
    assert steps.excess(reading(101, 5_002.9)) == 0
    assert steps.excess(reading(102, 1_402)) == 0
    assert steps.excess(reading(103, 1_403)) == 0


def test_an_order_from_the_future_is_overdue_a_deadline_after_it_was_first_seen() -> None:
    future = FutureOrders(30)
    assert future.overdue(0, ["a"]) == []
    assert future.overdue(10, ["a", "b"]) == []
    assert future.overdue(30.5, ["a", "b"]) == ["a"]
    assert future.overdue(31, ["b"]) == []
    assert future.ids == ["b"]
    assert future.overdue(40.5, ["b"]) == ["b"]


def test_an_order_that_is_seen_again_after_it_was_decided_starts_over() -> None:
    future = FutureOrders(30)
    future.overdue(0, ["a"])
    future.overdue(20, [])
    assert future.overdue(31, ["a"]) == []

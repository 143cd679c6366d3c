"""A history as numbers over time."""

import pytest

from tests.chaos.purchases import purchases
from tests.chaos.series import Clock, buckets, latencies, readiness, suffered
from tests.unit.chaos.runs import WALL, ended, history, invoke, line

CLOCK = Clock(0.0, 0.0)


def test_time_begins_with_the_first_operation_and_both_clocks_agree() -> None:
    lines = history()
    clock = Clock.of(lines)
    assert clock.at(invoke(103.5, "x")) == 3.5
    assert clock.of_wall(WALL + 103.5) == pytest.approx(3.5)
    assert Clock.of([]) == Clock(0.0, 0.0)


def test_a_wall_clock_that_is_set_in_between_moves_nothing() -> None:
    lines = history()
    lines[-1] = {**lines[-1], "at": WALL + 5000}
    assert Clock.of(lines).of_wall(WALL + 101) == pytest.approx(1)


def test_an_order_lasts_from_its_first_request_to_the_last_answer() -> None:
    first = ended(2, "1", status="PENDING")
    again = [
        invoke(3, "1", id="2"),
        ended(5, "1", status="CANCELLED", id="2", value={"cancellation_reason": "TIMED_OUT"}),
    ]
    (one,) = purchases([invoke(1, "1"), first, *again], CLOCK.at)
    assert (one.began, one.left, one.seconds(9)) == (1, 5, 4)
    assert (one.status, one.reason, one.end, one.ended) == ("CANCELLED", "TIMED_OUT", "ok", True)
    assert (one.order_id, len(one.lines)) == ("1-order", 4)


def test_a_cancellation_belongs_to_its_order_and_a_read_does_not() -> None:
    cancel = [invoke(3, "1", "cancel", id="2"), ended(4, "1", op="cancel", status="CANCELLED", id="2")]
    read = [invoke(6, "1", "read", id="3"), ended(7, "1", op="read", id="3")]
    (one,) = purchases([invoke(1, "1"), ended(2, "1", status="PENDING"), *cancel, *read], CLOCK.at)
    assert (one.left, one.status) == (4, "CANCELLED")


def test_an_order_with_an_open_request_has_no_last_answer() -> None:
    """Also where another request of the same order has been answered."""
    (one,) = purchases([invoke(1, "1"), invoke(2, "1", id="2"), ended(3, "1", status="PENDING")], CLOCK.at)
    assert (one.left, one.seconds(10), one.ended) == (None, 9, False)


def test_each_interval_counts_who_came_who_ended_and_who_waited() -> None:
    lines = [invoke(0.1, "1"), invoke(0.2, "2"), ended(0.5, "1"), invoke(1.5, "3"), ended(1.6, "2", status="CANCELLED")]
    intervals = buckets(purchases(lines, CLOCK.at), 3.0)
    assert [(one.begin, one.end) for one in intervals] == [(0, 1), (1, 2), (2, 3)]
    assert [one.came for one in intervals] == [2, 1, 0]
    assert [one.completed for one in intervals] == [1, 0, 0]
    assert [one.cancelled for one in intervals] == [0, 1, 0]
    assert [one.open for one in intervals] == [2, 2, 1]


def test_a_long_run_has_wider_intervals() -> None:
    assert len(buckets([], 160)) == 160
    assert len(buckets([], 170)) == 85
    assert len(buckets([], 7200)) <= 160


def test_latencies_are_those_of_orders_that_came_in_the_interval() -> None:
    lines = []
    for number in range(100):
        lines += [invoke(number / 20, f"{number}"), ended(number / 20 + (3 if number % 10 == 0 else 0.2), f"{number}")]
    intervals = latencies(purchases([*lines, invoke(4.99, "lost")], CLOCK.at), 8.0)
    assert [one.answered for one in intervals] == [20] * 5
    assert [one.p50 for one in intervals] == pytest.approx([200] * 5)
    assert [one.p95 for one in intervals] == pytest.approx([3000] * 5)
    assert latencies([], 8.0) == []


def test_readiness_lasts_until_the_next_change() -> None:
    lines = history()
    (states,) = readiness(lines, Clock.of(lines), 9.5).values()
    periods = [(one.status, round(one.begin, 1), round(one.end, 1)) for one in states]
    assert periods == [("ready", 0.0, 5.2), ("unreachable", 5.2, 7.0), ("ready", 7.0, 9.5)]
    assert states[1].reasons == ("ConnectError",)


def test_what_was_so_before_the_first_operation_is_left_out() -> None:
    early = [line(90.0, "ready", service="order", status="unready", reasons=[]), *history()]
    (states,) = readiness(early, Clock.of(early), 9.5).values()
    assert states[0].status == "ready"


def test_those_who_were_never_told_an_end_suffered_most_and_the_refused_least() -> None:
    lines = history()
    orders = purchases(lines, Clock.of(lines).at)
    worst = suffered(orders, 9.5)
    assert worst[0].key == "key-lost"
    assert len(worst) == 6
    assert suffered(orders, 9.5, most=99)[-1].key == "key-refused"

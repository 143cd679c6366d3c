"""Nudges: many where they help, few where a system has more to do than it can."""

from order_service.nudge_rate import NudgeRate


def allowed(rate: NudgeRate, late_counts: list[int]) -> list[int]:
    """What each sweep may send, given the number of late orders at each."""
    return [rate.allowed(late) for late in late_counts]


def test_nudges_are_not_limited_while_no_order_is_late() -> None:
    assert allowed(NudgeRate(50), [0] * 5) == [50] * 5


def test_nudges_become_fewer_but_never_stop_while_late_orders_do_not_become_fewer() -> None:
    rate = NudgeRate(50)
    growing = allowed(rate, list(range(100, 140)))
    assert sum(growing) < 220
    assert sum(growing[-10:]) == 5
    assert sum(allowed(rate, [140] * 40)) == 20


def test_nudges_that_help_soon_reach_a_thousand_orders() -> None:
    rate, late, sweeps = NudgeRate(50), 1000, 0
    allowed(rate, [late] * 40)
    assert rate.rate == 0.5
    while late > 0:
        late -= rate.allowed(late)
        sweeps += 1
    assert 20 < sweeps < 60


def test_a_system_that_is_behind_catches_up() -> None:
    """It settles four orders a sweep, half an order less for each nudge, and all that are late are always due."""
    rate, late, sweeps = NudgeRate(50), 250.0, 0
    while late > 0:
        late -= max(4 - rate.allowed(int(late)) / 2, 0)
        sweeps += 1
        assert sweeps < 400

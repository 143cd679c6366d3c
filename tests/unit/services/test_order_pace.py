"""Reminders: many where they help, few where a system has more to do than it can."""

from order_service.nudge_rate import NudgeRate


def sent(pace: NudgeRate, late: list[int]) -> list[int]:
    """What each sweep may send, for so many late orders at each."""
    return [pace.allowed(number) for number in late]


def test_nothing_is_held_back_while_no_order_is_late() -> None:
    assert sent(NudgeRate(50), [0] * 5) == [50] * 5


def test_a_crowd_that_grows_or_stays_is_reminded_ever_less_but_never_not_at_all() -> None:
    pace = NudgeRate(50)
    growing = sent(pace, list(range(100, 140)))
    assert sum(growing) < 220
    assert sum(growing[-10:]) == 5
    assert sum(sent(pace, [140] * 40)) == 20


def test_reminders_that_help_soon_reach_a_thousand_orders() -> None:
    pace, late, sweeps = NudgeRate(50), 1000, 0
    sent(pace, [late] * 40)
    assert pace.rate == 0.5
    while late > 0:
        late -= pace.allowed(late)
        sweeps += 1
    assert 20 < sweeps < 60


def test_a_system_that_is_behind_is_left_to_its_work() -> None:
    """It settles four orders a sweep, half an order less for each reminder, and all that are late are always due."""
    pace, late, sweeps = NudgeRate(50), 250.0, 0
    while late > 0:
        late -= max(4 - pace.allowed(int(late)) / 2, 0)
        sweeps += 1
        assert sweeps < 400

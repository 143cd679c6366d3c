"""How long orders take now, and so before which time none is nudged."""

from order_service.usual_time import KNOWN_MAX, UsualTime


def test_an_order_is_nudged_no_sooner_than_after_twice_the_median_time() -> None:
    settled = [("o1", 9.0, 1.0), ("o2", 12.0, 0.0), ("stuck", 400.0, 2.0)]
    assert UsualTime(most=30).patience(settled, now=0.0) == 2 * 12.0


def test_without_settled_orders_nothing_is_known_and_nobody_waits() -> None:
    assert UsualTime(most=30).patience([], now=0.0) == 0.0


def test_what_a_nudge_has_repaired_does_not_make_the_others_wait() -> None:
    """After an outage of 20 s that lost all messages, the first orders are nudged, and end at once."""
    usual = UsualTime(most=30)
    usual.nudged(["o1", "o2"], now=100.0)
    assert usual.patience([("o1", 20.5, 0.1), ("o2", 20.5, 0.2)], now=100.5) < 1.0


def test_what_ends_long_after_its_first_nudge_is_slow() -> None:
    usual = UsualTime(most=30)
    usual.nudged(["o1"], now=100.0)
    usual.nudged(["o1"], now=108.0)  # a later nudge does not begin anew
    assert usual.patience([("o1", 12.0, 0.0)], now=110.0) == 2 * 10.0


def test_nobody_waits_beyond_the_deadline_or_for_a_clock_that_was_set() -> None:
    assert UsualTime(most=30).patience([("o1", 300.0, 0.0)], now=0.0) == 30.0
    assert UsualTime(most=30).patience([("o1", -300.0, 0.0)], now=0.0) == 0.0


def test_the_first_nudges_that_are_remembered_are_bounded() -> None:
    usual = UsualTime(most=1000)
    usual.nudged(["first"], now=0.0)
    usual.nudged((f"o{number}" for number in range(KNOWN_MAX)), now=500.0)
    assert usual.patience([("first", 90.0, 0.0)], now=501.0) == 180.0
    assert usual.patience([("o5", 90.0, 0.0)], now=501.0) == 2.0

"""Deliveries that come again from memory: when, and until when they are remembered."""

from sagakit.modes.delayed import Delayed
from sagakit.ports import Delivery

ONE, TWO = Delivery(b"one"), Delivery(b"two")


def test_the_pause_doubles_for_each_delivery_by_itself_up_to_the_longest() -> None:
    delayed, now, pauses = Delayed(0.1, 0.5), 100.0, list[float]()
    for _ in range(5):
        delayed.keep("one", ONE, now)
        pauses.append(round(delayed.wait(now, 9.0), 3))
        now += 10
        assert delayed.due(now) == [ONE]
    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5]
    delayed.keep("two", TWO, now)
    assert round(delayed.wait(now, 9.0), 3) == 0.1


def test_what_is_due_is_given_once_and_nothing_before_its_time() -> None:
    delayed = Delayed(0.1, 0.5)
    delayed.keep("one", ONE, 100.0)
    delayed.keep("two", TWO, 100.05)
    assert (delayed.due(100.09), len(delayed)) == ([], 2)
    assert (delayed.due(100.11), len(delayed)) == ([ONE], 1)
    assert delayed.due(100.11) == []
    assert delayed.due(100.2) == [TWO]


def test_the_wait_is_never_longer_than_asked_for_and_never_negative() -> None:
    delayed = Delayed(1.0, 5.0)
    assert delayed.wait(0.0, 0.5) == 0.5
    delayed.keep("one", ONE, 0.0)
    assert (delayed.wait(0.0, 0.5), delayed.wait(0.8, 0.5) < 0.21, delayed.wait(7.0, 0.5)) == (0.5, True, 0.0)


def test_what_was_dropped_begins_anew() -> None:
    delayed = Delayed(0.1, 0.5)
    for _ in range(3):
        delayed.keep("one", ONE, 0.0)
    delayed.drop(["one", "never kept"])
    assert delayed.due(10.0) == []
    delayed.keep("one", ONE, 0.0)
    assert delayed.wait(0.0, 9.0) == 0.1
    assert delayed.clear() == [ONE]
    assert (len(delayed), delayed.due(10.0)) == (0, [])

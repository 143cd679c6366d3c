"""Waiting for what has to be asked."""

import itertools

import pytest

from quartet_stack.processes.polling import until


def test_it_asks_until_the_condition_holds() -> None:
    asked = itertools.count(1)
    assert until(lambda: next(asked) == 3, 5, 0.001)
    assert next(asked) == 4


def test_it_asks_once_at_least_and_says_when_the_time_is_over() -> None:
    assert until(lambda: True, -1)
    assert not until(lambda: False, 0.01, 0.001)


def test_what_the_condition_raises_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        until(lambda: bool(1 / 0), 5)

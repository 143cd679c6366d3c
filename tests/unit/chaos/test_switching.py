"""Switches of the mode under load: the longest pause, and whether the bounds hold."""

from dataclasses import replace
from math import inf

import pytest
from rich.console import Console

from tests.chaos.switching import Switch, judge, longest_pause

SWITCH = Switch("kafka-choreography", "temporal-orchestration", seconds=8.0, pause=6.0, orders=40, wrong=0)


@pytest.mark.parametrize(
    ("completed", "pause"),
    [
        ([1.0, 9.0, 10.5, 14.5, 15.0], 4.0),  # the pause before the switch does not count
        ([9.0, 16.0], 7.0),  # it had begun when the switch did
        ([9.0], inf),  # nothing completes any more
        ([], inf),
    ],
)
def test_the_longest_pause_is_between_two_completions(completed: list[float], pause: float) -> None:
    assert longest_pause(completed, since=10.0) == pause


@pytest.mark.parametrize(
    ("changed", "holds"), [({}, True), ({"pause": 10.1}, False), ({"wrong": 1}, False), ({"orders": 0}, False)]
)
def test_each_bound_is_held(changed: dict[str, float], holds: bool) -> None:
    assert judge([SWITCH, replace(SWITCH, **changed)], Console(quiet=True)) is holds  # type: ignore[arg-type]


def test_no_switch_proves_nothing() -> None:
    assert not judge([], Console(quiet=True))

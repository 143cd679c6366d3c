"""Coordinates of the report's charts."""

import random
from itertools import pairwise

import pytest

from tests.chaos.drawing import (
    Bar,
    Text,
    area,
    duration,
    linear,
    logarithmic,
    moment,
    packed,
    steps,
    ticks,
    time_ticks,
    wide,
)


def test_scales_place_values() -> None:
    assert [linear(0, 10, 100, 0)(value) for value in (0, 5, 10)] == [100, 50, 0]
    assert linear(3, 3, 100, 0)(3) == 100
    assert [logarithmic(10, 1000, 100, 0)(value) for value in (1, 10, 100, 1000)] == [100, 100, 50, 0]


@pytest.mark.parametrize(
    ("high", "found"), [(0, [0]), (0.9, [0, 0.5]), (4, [0, 1, 2, 3, 4]), (10, [0, 5, 10]), (470, [0, 200, 400])]
)
def test_ticks_are_round(high: float, found: list[float]) -> None:
    assert ticks(high, 4) == found


def test_moments_are_round_and_within() -> None:
    assert time_ticks(0.3, 10.2, 10) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert time_ticks(0, 60, 7) == [0, 10, 20, 30, 40, 50, 60]
    assert len(time_ticks(0, 86400, 14)) <= 15


def test_times_are_told_in_their_unit() -> None:
    assert [duration(one) for one in (0.0123, 4.25, 125)] == ["12 ms", "4.2 s", "2 min 5 s"]
    assert [moment(12.34), moment(185, minutes=True)] == ["12.3 s", "3:05"]


def test_a_line_breaks_where_intervals_do_not_meet() -> None:
    assert steps([(0, 1, 5), (1, 2, 6), (3, 4, 7)]) == "M0,5L1,5L1,6L2,6M3,7L4,7"
    assert area([(0, 1, 5)], 9) == "M0,9L0,5L1,5L1,9Z"
    assert (steps([]), area([], 9)) == ("", "")


@pytest.mark.parametrize("right", [300.0, 800.0])
@pytest.mark.parametrize("seed", range(10))
def test_no_bar_or_label_covers_another(seed: int, right: float) -> None:
    dice = random.Random(seed)
    bars = []
    for number in range(30):
        begin = dice.uniform(0, 95)
        bars.append(Bar(begin, begin + dice.choice((0.0, 1, 8)), "x" * dice.randint(3, 40), "felt", str(number)))
    taken: dict[int, list[tuple[float, float]]] = {}
    for lane, bar, text, rect in packed(bars, linear(0, 100, 40, right), 40, right):
        low, high = _extent(text)
        assert low >= 39
        assert high <= right + 1
        assert bar.label.startswith(text.text.removesuffix("…"))
        assert len(text.text) >= min(len(bar.label), 15)
        taken.setdefault(lane, []).append((min(low, rect.x), max(high, rect.x + rect.width)))
    for spans in taken.values():
        spans.sort()
        assert all(end < begin for (_, end), (begin, _) in pairwise(spans))


def _extent(text: Text) -> tuple[float, float]:
    length = wide(text.text)
    return (text.x - length, text.x) if text.anchor == "end" else (text.x, text.x + length)

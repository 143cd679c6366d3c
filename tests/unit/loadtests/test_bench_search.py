"""The search for the highest rate that holds, against systems whose limit is known."""

import random

import pytest

from loadtests.bench.search import FIRST, MOST, search


@pytest.mark.parametrize("seed", range(20))
def test_the_rate_found_is_the_highest_that_holds_within_an_eighth(seed: int) -> None:
    limit = random.Random(seed).uniform(2, 900)
    made = search(lambda rate: rate, lambda rate: rate <= limit)
    best = max(rate for rate, held in made if held)
    assert best <= limit <= best * 1.15
    assert len(made) <= 14


def test_every_rate_is_tried_once_and_the_verdicts_are_kept() -> None:
    made = search(lambda rate: rate, lambda rate: rate <= 30)
    assert [rate for rate, _ in made[:3]] == [FIRST, 20.0, 40.0]
    assert [held for _, held in made] == [rate <= 30 for rate, _ in made]
    assert len({rate for rate, _ in made}) == len(made)


def test_a_system_that_holds_nothing_ends_the_search_at_a_tenth_of_the_first_rate() -> None:
    made = search(lambda rate: rate, lambda rate: False)
    assert not any(held for _, held in made)
    assert min(rate for rate, _ in made) >= FIRST / 10


def test_a_system_without_a_limit_ends_the_search_at_what_a_generator_can_do() -> None:
    made = search(lambda rate: rate, lambda rate: True)
    assert made[-1][0] <= MOST
    assert all(held for _, held in made)

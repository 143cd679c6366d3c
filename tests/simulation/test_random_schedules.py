"""Thousands of seeded schedules with every kind of fault, in both styles; `make simulate` runs more on all cores.

A failure prints its seed, the call that replays it exactly, and the smallest schedule that still fails.
"""

from collections import Counter

import pytest

from tests.simulation.design import STYLES, Design
from tests.simulation.reached import missing, reached
from tests.simulation.scenario import scenario_of
from tests.simulation.schedule import explain, replay, run
from tests.suite.choice import chosen

SEEDS = chosen().count(3_000, nightly=30_000)


@pytest.mark.parametrize("style", STYLES)
def test_every_random_schedule_ends_consistent(style: str) -> None:
    design, counts = Design(style), Counter[str]()
    for seed in range(SEEDS):
        done = run(design, seed)
        if done.violations:
            pytest.fail(explain(design, seed, done))
        counts.update(reached(done))
    assert missing(counts) == [], "these were to be explored and were not reached"


@pytest.mark.parametrize("style", STYLES)
def test_orders_survive_any_change_of_style_on_their_way(style: str) -> None:
    design = Design(style)
    for seed in range(SEEDS // 5):
        done = run(design, seed, adopting=True)
        if done.violations:
            pytest.fail(explain(design, seed, done))


@pytest.mark.parametrize("style", STYLES)
def test_a_seed_gives_the_same_schedule_and_a_replay_the_same_end(style: str) -> None:
    for seed in range(20):
        first, second = run(Design(style), seed), run(Design(style), seed)
        again = replay(Design(style), scenario_of(seed), first.steps)
        assert first.steps == second.steps == again.steps
        assert first.world.digest() == second.world.digest() == again.world.digest()

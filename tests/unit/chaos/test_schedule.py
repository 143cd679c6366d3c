"""The schedule: when which part is broken."""

import random
from itertools import combinations

import pytest

from tests.chaos.experiment import Action
from tests.chaos.schedule import Choice, Planned, conflicts, end_of, follow, plan

KILL = Choice("kill", "process", ("order", "payment", "inventory", "shipping", "provider"))
PAUSE = Choice("pause", "process", ("order", "payment", "broker", "order-db"))
CUT = Choice("cut", "network", ("payment->payment-db", "order->broker", "shipping->provider"))
SWITCH = Choice("switch", "rollout", ("mode",))
EVERYTHING = (KILL, PAUSE, CUT, SWITCH)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    first, again, other = (plan(EVERYTHING, 0, random.Random(seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", range(30))
def test_each_fault_comes_and_those_that_overlap_break_different_parts(seed: int) -> None:
    planned = plan(EVERYTHING, 0, random.Random(seed))
    assert {one.fault for one in planned} == {"kill", "pause", "cut", "switch"}
    assert {one.target for one in planned if one.fault == "kill"} == set(KILL.targets)
    assert len([one for one in planned if one.fault == "cut"]) == 2
    for one, other in combinations(planned, 2):
        if one.at < other.end and other.at < one.end:
            assert not conflicts(one, other)
    for one in planned:
        assert sum(1 for other in planned if other.at <= one.at < other.end) <= 2


def test_faults_on_different_parts_do_overlap() -> None:
    planned = plan((PAUSE,), 0, random.Random(1))
    assert end_of(planned) < sum(one.seconds for one in planned)


def test_rounds_are_repeated_as_long_as_whole_ones_fit() -> None:
    one_round = plan((KILL,), 0, random.Random(1))
    many = plan((KILL,), 120, random.Random(1))
    assert len(many) > 2 * len(one_round)
    assert len(many) % len(one_round) == 0
    assert end_of(many) <= 120
    assert many == sorted(many, key=lambda one: one.at)


def test_nothing_to_break_is_an_empty_plan() -> None:
    assert plan((), 60, random.Random(1)) == []
    assert end_of([]) == 0


def test_a_route_and_its_ends_conflict_and_a_rollout_with_everything() -> None:
    route = Planned("cut", "payment->payment-db", 0, 5)
    assert conflicts(route, Planned("kill", "payment", 0, 5))
    assert conflicts(route, Planned("db-restart", "payment-db", 0, 5))
    assert not conflicts(route, Planned("kill", "order", 0, 5))
    assert conflicts(route, Planned("switch", "mode", 0, 5, exclusive=True))


def test_an_experiments_actions_follow_one_another_with_their_pauses() -> None:
    method = [
        Action("first", "kill", "order", before=2, after=3),
        Action("second", "pause", "payment", seconds=10, background=True),
        Action("third", "kill"),
        Action("gone", "unknown here", "order"),
    ]
    with pytest.raises(ValueError, match="kill cannot break nobody here; it can: order, payment"):
        follow([Action("wrong", "kill", "nobody")], EVERYTHING, random.Random(1))
    first, second, third = follow(method, EVERYTHING, random.Random(1))
    assert (first.at, first.target) == (2, "order")
    assert (second.at, second.seconds) == (first.end + 3, 10)
    assert third.at == second.at
    assert third.target in KILL.targets

"""What it costs to be observable: which loads are missing, how they are compared, and that they are what they say."""

import os
import subprocess
import sys

import pytest

from loadtests import observing

FOUND = [
    {"mode": "kafka", "round": number, "way": way, "ms": ms, "rate": 100.0}
    for number, costs in enumerate([(2.02, 2.0), (2.06, 2.0), (2.04, 2.0)])
    for way, ms in zip(("as it is", "no memory"), costs, strict=True)
]


def test_a_load_that_was_made_is_not_made_again_and_each_round_has_all_ways() -> None:
    todo = observing.missing([], 3, "kafka")
    assert sorted(todo) == sorted((number, way) for number in range(3) for way in observing.WAYS)
    left = observing.missing(FOUND, 3, "kafka")
    assert left == [one for one in todo if one[1] not in ("as it is", "no memory")]
    assert observing.missing(FOUND, 3, "pubsub") == todo


def test_the_ways_of_a_round_are_compared_with_each_other_alone() -> None:
    shares = observing.differences(FOUND, "as it is", "no memory", "kafka")
    assert shares == pytest.approx([0.01, 0.03, 0.02])
    low, high = observing.interval(shares)
    assert (low, high) == pytest.approx((0.02 - 0.0248, 0.02 + 0.0248), abs=1e-4)
    assert "| the memory of /timeline | 3 | +2.0% | -0.5% to +4.5% |" in observing.report(FOUND, "kafka")
    assert observing.differences(FOUND, "followed", "no memory", "kafka") == []


RECORDS = "from sagakit.activity import Activity; a = Activity(); a.dead_letter('o1', 'x'); print(len(a.of('o1')))"
HOOKS = (
    "import dis; from sagakit.engine.dispatcher import Dispatcher as D; "
    "print(sum(one.argval == 'on' for f in (D._transact, D._try_all) for one in dis.get_instructions(f)))"
)


@pytest.mark.parametrize(("way", "code", "usual"), [("no memory", RECORDS, "1"), ("no hooks", HOOKS, "2")])
def test_the_other_way_lacks_what_is_measured(way: str, code: str, usual: str) -> None:
    for settings, expected in (({}, usual), (observing.WAYS[way], "0")):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **settings}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected

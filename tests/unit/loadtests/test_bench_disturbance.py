"""Runs are repeated where the machine was disturbed, by a rule that does not look at what was measured."""

import os
import subprocess
import sys

import pytest

from loadtests.bench.disturbance import ATTEMPTS, MachineTime, attempts, reason
from loadtests.bench.record import Disturbance
from tests.unit.loadtests.benches import PLAN, run


def test_the_reason_names_what_exceeded_which_limit() -> None:
    assert reason(run(disturbance=Disturbance(2.0, 10.0)), PLAN) == ""
    assert reason(run(disturbance=None), PLAN) == ""
    assert reason(run(disturbance=Disturbance(2.5, 10.0)), PLAN) == (
        "the host took 2.5 % of the machine's CPU, more than 2 %"
    )
    assert reason(run(disturbance=Disturbance(2.5, 40.0)), PLAN).endswith(
        "; other programs used 40.0 % of the machine's CPU, more than 10 %"
    )


@pytest.mark.parametrize(
    ("foreign", "made"),
    [([0], 1), ([50, 0], 2), ([50, 60, 0], 3), ([50, 60, 70, 0], ATTEMPTS)],
)
def test_a_disturbed_run_is_repeated_twice_at_most_and_the_last_counts(foreign: list[float], made: int) -> None:
    said: list[str] = []
    runs = attempts(lambda number: run(disturbance=Disturbance(0, foreign[number - 1])), PLAN, said.append)
    assert [one.disturbance and one.disturbance.foreign for one in runs] == foreign[:made]
    assert len(said) == made - 1


def test_what_was_measured_is_no_reason_to_repeat_a_run() -> None:
    assert len(attempts(lambda number: run(consistent=False, drained=False, orders=0), PLAN, print)) == 1


def test_what_is_not_ours_is_foreign_and_never_negative() -> None:
    before = MachineTime(at=100.0, used=50.0, stolen=1.0, ours=20.0)
    whole = 10.0 * (os.cpu_count() or 1)
    after = MachineTime(at=110.0, used=50.0 + whole * 0.5, stolen=1.0 + whole * 0.1, ours=20.0 + whole * 0.3)
    assert before.since(before) == Disturbance(0.0, 0.0)
    assert after.since(before) == Disturbance(10.0, 20.0)
    more = MachineTime(at=110.0, used=50.0, stolen=1.0, ours=20.0 + whole)
    assert more.since(before) == Disturbance(0.0, 0.0)


def test_children_of_the_bench_are_ours_even_if_a_root_is_one_of_them() -> None:
    burn = (
        "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\nimport sys; sys.stdin.read()"
    )
    before = MachineTime.read({})
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alone, named = MachineTime.read({}), MachineTime.read({"a child": child.pid})
        child.communicate()
    assert alone.ours - before.ours > 0.2  # of 0.3, in ticks of a hundredth of a second
    assert named.ours - alone.ours < 0.2  # it is not counted twice
    assert alone.used > before.used

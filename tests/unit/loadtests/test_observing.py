"""What it costs to be observable: which rounds are missing, how they are compared, and what a signal takes away."""

import os
import subprocess
import sys
from typing import Any

import pytest

from loadtests import observing

CODE = (
    "import dis, sitecustomize as s; from sagakit.activity import Activity; a = Activity()\n"
    "for way in ('as it is', 'no memory', 'no hooks', 'as it is'):\n"
    "    s.switch(way); before = len(a.of('o1')); a.dead_letter('o1', 'x')\n"
    "    hooks = sum(one.argval == 'on' for f in s.functions() for one in dis.get_instructions(f))\n"
    "    print(way, len(a.of('o1')) - before, hooks > 0)"
)


def made(number: int, usual: float, without: float) -> dict[str, Any]:
    costs = {"as it is": usual, "followed": 2 * usual, "no memory": without, "no hooks": usual}
    return {"mode": "kafka", "round": number, **{way: {"ms": ms, "rate": 100.0} for way, ms in costs.items()}}


FOUND = [made(0, 2.02, 2.0), made(1, 2.06, 2.0), made(3, 2.04, 2.0)]


def test_a_round_that_was_made_is_not_made_again() -> None:
    assert observing.missing([], 3, "kafka") == [0, 1, 2]
    assert observing.missing(FOUND, 5, "kafka") == [2, 4]
    assert observing.missing(FOUND, 2, "pubsub") == [0, 1]


def test_the_ways_of_a_round_are_compared_with_each_other_alone() -> None:
    shares = observing.differences(FOUND, "as it is", "no memory", "kafka")
    assert shares == pytest.approx([0.01, 0.03, 0.02])
    assert observing.interval(shares) == pytest.approx((0.02 - 0.0248, 0.02 + 0.0248), abs=1e-4)
    told = observing.report(FOUND, "kafka")
    assert "| the memory of /timeline | 3 | +2.0% | -0.5% to +4.5% |" in told
    assert "| telemetry off | 3 | +0.0% | +0.0% to +0.0% |" in told
    assert "followed: 4.080 ms of CPU per order, 100 orders/s (medians)" in told


def test_a_signal_takes_away_what_is_measured_and_puts_it_back() -> None:
    environment = {**os.environ, "PYTHONPATH": str(observing.WITHOUT)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert told == ["as it is 1 True", "no memory 0 True", "no hooks 1 False", "as it is 1 True"]

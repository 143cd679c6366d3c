"""CPU time of process trees."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.bench import processes

# The parent does nothing itself. Its child burns CPU; then one of the two says so, and stays until its input ends.
CHILD = "import time\nwhile time.process_time() < {seconds}: pass\n"
STAY = "print('burnt', flush=True)\nimport sys; sys.stdin.read()\n"
PARENT = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n"


@contextmanager
def parent(seconds: float, *, ends: bool) -> Iterator[int]:
    """The id of a process whose child has burnt so many seconds of CPU; `ends`: and is gone."""
    child = CHILD.format(seconds=seconds) + ("" if ends else STAY)
    text = PARENT.format(child=child) + (STAY if ends else "")
    words = [sys.executable, "-c", text]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "burnt\n"
        yield one.pid


@pytest.mark.parametrize("ends", [True, False])
def test_time_of_a_child_counts_while_it_lives_and_after_it_was_waited_for(ends: bool) -> None:
    with parent(0.3, ends=ends) as pid:
        assert processes.cpu({"parent": pid})["parent"] >= 290


def test_trees_are_told_apart() -> None:
    with parent(0.4, ends=True) as busy, parent(0, ends=True) as lazy:
        used = processes.cpu({"busy": busy, "lazy": lazy})
    assert used["busy"] - used["lazy"] >= 200


def test_a_root_that_ended_is_an_error_and_not_a_zero() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as one:
        one.wait()
    with pytest.raises(ProcessLookupError, match="order"):
        processes.cpu({"order": one.pid})

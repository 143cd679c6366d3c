"""Which group of tests a worker takes next: two stacks at a time, and beside them what computes and what waits."""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import PurePath
from typing import Final

from sagakit.modes import MODES

STACK: Final = "stack"
"""A running stack wants a core all the time."""
WAITING: Final = "waiting"
"""Tests of a broker, which mostly wait for its restarts and for messages that must not come."""
COMPUTING: Final = "computing"
MEASURING: Final = "measuring"
"""A benchmark, whose figures other tests would change: it comes last, with nothing beside it."""
MEASURE: Final = frozenset({"tests/e2e/test_bench.py"})
STACKS_AT_A_TIME: Final = 2
"""More of them at once slow each other on two cores, and orders meet deadlines."""


def group(nodeid: str) -> str:
    """The group of a test: the running stack of a mode, a file, or a folder of unit tests."""
    path, _, parameters = nodeid.partition("[")
    file = path.partition("::")[0]
    if file.startswith("tests/e2e/"):
        return next((mode for mode in MODES if mode in parameters), file)
    return str(PurePath(file).parent) if file.startswith("tests/unit/") else file


def kind(group: str) -> str:
    """The kind of a group: STACK, WAITING, COMPUTING or MEASURING."""
    if group in MEASURE:
        return MEASURING
    if group in MODES or group.startswith("tests/e2e/"):
        return STACK
    return WAITING if group.startswith("tests/modes/") else COMPUTING


def next_group(left: Iterable[str], beside: Iterable[Collection[str]]) -> str | None:
    """The first of the groups that are left whose kind suits what runs beside it.

    `left`: in the order in which they are to begin; `beside`: for each other worker the groups that it has not
    finished. None: what is left has to wait for them, and they do the rest.
    """
    kinds = Counter(one for groups in beside for one in set(map(kind, groups)))
    wanted = [COMPUTING, WAITING] if not kinds[COMPUTING] else [WAITING, COMPUTING]
    if kinds[STACK] < STACKS_AT_A_TIME:
        wanted.insert(0, STACK)
    first = {kind(one): one for one in reversed(list(left))}
    if not kinds and first.keys() == {MEASURING}:
        wanted = [MEASURING]
    return next((first[one] for one in wanted if one in first), None)

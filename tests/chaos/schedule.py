"""When which part is broken: drawn by seed, so that a run can be repeated.

Two faults may be in force at a time, on different parts. A fault of kind "rollout" changes the whole stack and runs
alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

LANES: Final = 2
GAP: Final = (0.5, 2.5)
"""Seconds between two faults, from and to."""

ROLLOUT: Final = "rollout"
TARGETS: Final[Mapping[str, int]] = {"process": 5, "network": 2, "provider": 1, "message": 1, "resource": 1, ROLLOUT: 1}
"""Kind of fault -> how many of its targets a round breaks at most; other seeds break others."""

SECONDS: Final[Mapping[str, float]] = {
    "kill": 3.0,
    "pause": 8.0,  # longer than every lease, session and visibility time-out
    "broker-restart": 4.0,
    "broker-kill": 4.0,
    "db-restart": 3.0,
    "promote": 6.0,
    "rolling-restart": 15.0,
    "scale": 20.0,
    "switch": 25.0,
    "stranger": 35.0,  # until SAGA_DEADLINE, which is 30 s, has passed
}
"""Name of fault -> about how long it takes, in seconds; OTHERS for those that are not named."""

OTHERS: Final = 8.0


class Step(Protocol):
    """What the schedule needs of an action of an experiment; see `tests.chaos.experiment.Action`."""

    @property
    def fault(self) -> str: ...
    @property
    def target(self) -> str | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def before(self) -> float: ...
    @property
    def after(self) -> float: ...
    @property
    def background(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A fault that was chosen, its kind, and the parts that it can break."""

    fault: str
    kind: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault to come: `at` seconds after the faults begin, for about `seconds`."""

    fault: str
    target: str
    at: float
    seconds: float
    exclusive: bool = False

    @property
    def parts(self) -> frozenset[str]:
        """The parts that it breaks: a route breaks both of its ends."""
        return frozenset(self.target.split("->"))

    @property
    def end(self) -> float:
        return self.at + self.seconds


def plan(choices: Sequence[Choice], window: float, dice: random.Random) -> list[Planned]:
    """Plan each fault at least once, and in further rounds that fit wholly into `window` seconds; sorted by time."""
    planned = _round(choices, 0.0, dice)
    while planned:
        more = _round(choices, end_of(planned) + dice.uniform(*GAP), dice)
        if end_of(more) > window:
            break
        planned += more
    return sorted(planned, key=lambda one: one.at)


def follow(actions: Sequence[Step], choices: Sequence[Choice], dice: random.Random) -> list[Planned]:
    """Plan the actions of an experiment one after another, with their pauses, without faults that are not available.

    ValueError for a target that such a fault cannot break.
    """
    known, at, planned = {choice.fault: choice for choice in choices}, 0.0, []
    for action in actions:
        if action.fault not in known:
            continue
        choice = known[action.fault]
        seconds = action.seconds if action.seconds is not None else SECONDS.get(action.fault, OTHERS)
        at += action.before
        target = action.target or dice.choice(choice.targets)
        if target not in choice.targets:
            raise ValueError(f"{action.fault} cannot break {target} here; it can: {', '.join(choice.targets)}")
        planned.append(Planned(action.fault, target, at, seconds, choice.kind == ROLLOUT))
        at += (0 if action.background else seconds) + action.after
    return planned


def end_of(planned: Sequence[Planned]) -> float:
    """When the last fault ends, in seconds after the faults begin; 0 for none."""
    return max((one.end for one in planned), default=0.0)


def conflicts(one: Planned, other: Planned) -> bool:
    """Whether two faults must not be in force at the same time."""
    return one.exclusive or other.exclusive or bool(one.parts & other.parts)


def _round(choices: Sequence[Choice], start: float, dice: random.Random) -> list[Planned]:
    jobs = [
        (choice, target)
        for choice in choices
        for target in dice.sample(choice.targets, min(len(choice.targets), TARGETS[choice.kind]))
    ]
    dice.shuffle(jobs)
    free = [start] * LANES
    planned: list[Planned] = []
    for choice, target in jobs:
        lane = free.index(min(free))
        seconds = SECONDS.get(choice.fault, OTHERS)
        job = Planned(choice.fault, target, round(free[lane], 1), seconds, choice.kind == ROLLOUT)
        job = _later(job, planned)
        planned.append(job)
        free[lane] = job.end + dice.uniform(*GAP)
    return planned


def _later(job: Planned, planned: Sequence[Planned]) -> Planned:
    """The fault, postponed until it conflicts with nothing that is planned."""
    while clash := [
        one for one in planned if conflicts(one, job) and one.at < job.end + 0.5 and job.at < one.end + 0.5
    ]:
        at = round(max(one.end for one in clash) + 0.5, 1)
        job = Planned(job.fault, job.target, at, job.seconds, job.exclusive)
    return job

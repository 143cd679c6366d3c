"""The measurements of a bench, as raw.json holds them: counts and times of each run, nothing derived."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from operator import add
from typing import Any, Final, Self

from loadtests.bench.parts import STEADY
from loadtests.bench.plan import BenchPlan
from loadtests.bench.turns import Turn, title

VERSION: Final = 2
LATE: Final = 120_000.0
"""Milliseconds that an order counts with which did not complete. No completed order takes longer: a client whose first
request brought no end within 20 s tries for 60 s more to be answered, and its last request takes 35 s at most."""


class Counted:
    """Lets dataclasses of numbers be added and subtracted field by field."""

    __slots__ = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(*(one + more for one, more in zip(_values(self), _values(other), strict=True)))

    def __sub__(self, before: Self) -> Self:
        return type(self)(*(now - then for now, then in zip(_values(self), _values(before), strict=True)))


@dataclass(frozen=True, slots=True)
class Door(Counted):
    """One service's counters: transactions with the commands and seconds in them, and messages that it published."""

    transactions: int
    commands: int
    seconds: float
    messages: int
    message_bytes: int

    @property
    def batch(self) -> float:
        """Commands per transaction."""
        return self.commands / self.transactions if self.transactions else 0.0

    @property
    def each(self) -> float:
        """Seconds that one transaction takes."""
        return self.seconds / self.transactions if self.transactions else 0.0


@dataclass(frozen=True, slots=True)
class Log(Counted):
    """One database's counters: bytes of its write-ahead log, and transactions that wrote, so synced the log."""

    wal_bytes: int
    writes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU milliseconds, user and system, of each program of the stack within `seconds`."""

    seconds: float
    cpu: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the orders that arrived in the steady window, as their clients saw it.

    How many were placed; how many had no end in time, or another end than the one that their kind must come to (for
    good orders COMPLETED); orders with the right end a second; latency in ms, in which an order without the right end
    counts as LATE, slower than all others.
    """

    placed: int
    timed_out: int
    failed: int
    rate: float
    p50: float
    p95: float
    p99: float

    @property
    def completed(self) -> float:
        """Percent of the orders that came to the right end: how many arrive a second is chance, and no mode's merit."""
        return 100 * (self.placed - self.timed_out - self.failed) / self.placed if self.placed else 0.0


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Percent of the machine's CPU time that its host took (`steal`), and that programs of others used (`foreign`)."""

    steal: float
    foreign: float


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of a search for the highest rate that holds, and whether it held."""

    offered: float
    seen: Seen
    held: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one mode (or peer) at one `offered` rate (orders/s).

    `orders` that completed, as the order database counts them; doors and logs by service; the settings that have to be
    the same in all modes. `disturbance` is None where it was not measured. `part` is what was measured, `figures` what
    only that part has, `steps` the rates that a search tried: its other fields are those of the highest that held.
    """

    mode: str
    number: int
    offered: float
    orders: int
    seen: Seen
    idle: Usage
    load: Usage
    doors: Mapping[str, Door]
    logs: Mapping[str, Log]
    drained: bool
    consistent: bool
    disturbance: Disturbance | None
    settings: Mapping[str, str]
    part: str = STEADY
    figures: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return title(self.mode, self.number, self.offered, self.part)

    @property
    def door(self) -> Door:
        """The counters of all services together."""
        return reduce(add, self.doors.values(), Door(0, 0, 0.0, 0, 0))

    @property
    def log(self) -> Log:
        """The counters of all databases together."""
        return reduce(add, self.logs.values())

    @property
    def fine(self) -> bool:
        """Whether every order completed and the audit is clean."""
        return self.drained and self.consistent and not self.seen.failed and not self.seen.timed_out


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a bench; `memory` in bytes."""

    cores: int
    cpu: str
    memory: int
    python: str
    postgresql: str

    @property
    def name(self) -> str:
        """What tells it from machines whose figures do not compare."""
        return f"{self.cores} cores ({self.cpu})"


@dataclass(frozen=True, slots=True)
class Discarded:
    """A run that was repeated, and why."""

    run: Run
    reason: str


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill of a service by `python -m tests.chaos.recovery`, which has more about it.

    Seconds until the first request was accepted, until the first order completed, and from then until all had settled.
    """

    mode: str
    service: str
    number: int
    accepted: float
    completed: float
    settled: float


@dataclass(frozen=True, slots=True)
class Record:
    """A whole bench; `began` in UTC; `commit` of the repository, with `-dirty` where files differed from it.

    `kills` are those of a run of the chaos runner, if one was named; `missing` says of each mode or peer that could not
    be measured which component this machine lacks.
    """

    version: int
    began: str
    commit: str
    command: str
    machine: Machine
    plan: BenchPlan
    runs: tuple[Run, ...]
    discarded: tuple[Discarded, ...]
    kills: tuple[Kill, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def turns(self) -> list[Turn]:
        """The planned runs, without those for which a component is missing."""
        return [turn for turn in self.plan.turns() if turn.mode not in self.missing]

    @property
    def whole(self) -> bool:
        """Whether each of them was made."""
        return sum(run.mode not in self.missing for run in self.runs) == len(self.turns)


def _values(counted: Any) -> list[Any]:
    return [getattr(counted, field.name) for field in fields(counted)]

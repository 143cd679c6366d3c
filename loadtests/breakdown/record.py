"""What was measured of each mode, as raw.json holds it: counts and times, nothing derived."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtests.bench.record import Disturbance, Machine
from loadtests.saved import load, save

CONTENT: Final = "a breakdown of CPU time"
SETTINGS: Final = ("clients", "seconds")
"""Measurements go on only with the same."""
VERSION: Final = 1
GENERATOR: Final = "load generator"


@dataclass(frozen=True, slots=True)
class Load:
    """A load of closed-loop clients: completed orders, seconds with the drain, latencies in ms, CPU in ms by program.

    `wrong`: other ends and answers, and how many there were.
    """

    completed: int
    seconds: float
    p50: float
    p99: float
    cpu_ms: dict[str, float]
    disturbance: Disturbance
    wrong: dict[str, int]

    @property
    def rate(self) -> float:
        """Completed orders a second, the drain included."""
        return self.completed / self.seconds


@dataclass(frozen=True, slots=True)
class SampledThread:
    """A thread that runs Python: its CPU in the load without samplers; in the one with them, CPU, wait and samples.

    `waiting` are the samples in a frame in which threads wait; `waited_ms`: how long it was ready and had no core.
    """

    cpu_ms: float
    sampled_cpu_ms: float
    waited_ms: float
    working: dict[str, int]
    waiting: dict[str, int]


@dataclass(frozen=True, slots=True)
class Inside:
    """A process of a service: its threads that run Python, the others' CPU by kind, the modules behind `other`."""

    threads: list[SampledThread]
    native_ms: dict[str, float]
    unnamed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Floor:
    """What the carrier alone, or pgbench, does of the same: orders a second, and CPU in ms for an order."""

    rate: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured of a mode in one sitting, the audit being clean.

    `plain` is the load that is reported; `sampled` the one with py-spy at the services and with statements counted
    (seconds by group).
    """

    clients: int
    plain: Load
    sampled: Load
    inside: dict[str, Inside]
    statements: dict[str, float]
    carrier_floor: Floor | None
    database_floor: Floor | None


@dataclass(slots=True)
class Record:
    """The modes, and how they were measured; `clients` is None where each mode has its usual number of them."""

    seconds: float
    clients: int | None
    command: str
    commit: str
    machine: Machine
    version: int = VERSION
    modes: dict[str, Measured] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        save(self, path)


def read(path: Path) -> Record:
    """Read a record.

    Raises:
        ValueError: The file is none; the message names it.
    """
    return load(path, Record, CONTENT)

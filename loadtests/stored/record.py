"""The measurements over stored orders, as raw.json holds them: nothing derived."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtests.bench.record import Machine
from loadtests.saved import load, save

CONTENT: Final = "measurements over stored orders"
SETTINGS: Final = ("sizes", "pairs", "mode", "clients", "seconds")
"""Measurements go on only with the same."""
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One load on a stack with `stored` orders: what completed, latencies of the clients in ms, CPU by program."""

    size: int
    number: int
    stored: int
    completed: int
    seconds: float
    p50: float
    p99: float
    cpu_ms: dict[str, float]

    @property
    def rate(self) -> float:
        """Completed orders a second, drain included."""
        return self.completed / self.seconds

    @property
    def cpu(self) -> float:
        """CPU milliseconds for an order, of all programs."""
        return sum(self.cpu_ms.values()) / self.completed


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit: its time, and the most memory that all its processes had together, in MB; shared pages count once."""

    size: int
    orders: int
    seconds: float
    memory: float
    consistent: bool


@dataclass(slots=True)
class Record:
    """Everything that was measured, and how. `filled`: size -> seconds that it took to put these orders in."""

    sizes: list[int]
    pairs: int
    mode: str
    clients: int
    seconds: float
    command: str
    commit: str
    machine: Machine
    version: int = VERSION
    filled: dict[int, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        save(self, path)


def read(path: Path) -> Record:
    """Read a record.

    Raises:
        ValueError: The file is none; the message names it.
    """
    return load(path, Record, CONTENT)

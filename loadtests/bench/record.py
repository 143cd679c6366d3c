"""The measurements of a bench, as raw.json holds them: counts and times of each run, nothing derived."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from loadtests.bench.plan import BenchPlan

VERSION: Final = 1


class BadRecord(ValueError):
    """The file is no record of a bench; the message says in one line which file and why."""


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
    """What Locust measured: orders placed, how many did not complete, completed orders a second, latency in ms."""

    placed: int
    failed: int
    rate: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one mode. `orders` that completed, as the order database counts them; doors and logs by service."""

    mode: str
    number: int
    orders: int
    seen: Seen
    idle: Usage
    load: Usage
    doors: Mapping[str, Door]
    logs: Mapping[str, Log]
    drained: bool
    consistent: bool

    @property
    def door(self) -> Door:
        """The counters of all services together."""
        return reduce(add, self.doors.values())

    @property
    def log(self) -> Log:
        """The counters of all databases together."""
        return reduce(add, self.logs.values())

    @property
    def fine(self) -> bool:
        """Whether every order completed and the audit is clean."""
        return self.drained and self.consistent and not self.seen.failed


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a bench; `memory` in bytes."""

    cores: int
    cpu: str
    memory: int
    python: str
    postgresql: str


@dataclass(frozen=True, slots=True)
class Record:
    """A whole bench; `began` in UTC; `commit` of the repository, with `-dirty` where files differed from it."""

    version: int
    began: str
    commit: str
    machine: Machine
    plan: BenchPlan
    runs: tuple[Run, ...]


def write(record: Record, path: Path) -> None:
    """Write the record to a file, which is replaced atomically."""
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    draft.replace(path)


def read(path: Path) -> Record:
    """Read the record in a file.

    Raises:
        BadRecord: The file is missing, no record, or of another version.
    """
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadRecord(f"{path} is no record of a bench: {error}") from None
    if record.version != VERSION:
        raise BadRecord(
            f"{path} is a record of version {record.version}, this is version {VERSION}; run make bench again"
        )
    return record


def _values(counted: Any) -> list[Any]:
    return [getattr(counted, field.name) for field in fields(counted)]

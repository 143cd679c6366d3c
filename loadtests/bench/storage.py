"""Records of a bench in files, and what else is read into them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from loadtests.bench.record import VERSION, Kill, Record, Run
from loadtests.saved import save

T = TypeVar("T")


class BadRecord(ValueError):
    """The file is no record of a bench; the message says in one line which file and why."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """What records of all versions begin with."""

    version: int


def write(content: Record | tuple[Run, ...], path: Path) -> None:
    """Write a record, or the attempts at one run, to a file, which is replaced atomically."""
    save(content, path)


def read(path: Path) -> Record:
    """Read the record in a file.

    Raises:
        BadRecord: The file is missing, no record, or of another version.
    """
    version = _decoded(path, Versioned).version
    if version != VERSION:
        raise BadRecord(f"{path} is a record of version {version}, this is version {VERSION}; run make bench again")
    return _decoded(path, Record)


def read_attempts(path: Path) -> tuple[Run, ...]:
    """Read the attempts at one run.

    Raises:
        BadRecord: The file is missing, or holds none.
    """
    return _decoded(path, tuple[Run, ...])


def read_kills(path: Path) -> tuple[Kill, ...]:
    """Read what `python -m tests.chaos.recovery` wrote (kills.jsonl).

    Raises:
        BadRecord: The file is missing, or has no kills.
    """
    try:
        return tuple(msgspec.json.decode(line, type=Kill) for line in path.read_bytes().splitlines())
    except (OSError, msgspec.MsgspecError) as error:
        raise BadRecord(f"{path} has no kills of tests.chaos.recovery: {error}") from None


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadRecord(f"{path} is no record of a bench: {error}") from None

"""The shape of a saga for orchestration: ordered steps of do, settle and undo around one pivot."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sagakit.message import Command, Event


@dataclass(frozen=True, slots=True)
class Step:
    """One participant's part: its commands, the events that answer them, and what the pivot makes of those.

    `do` takes the snapshot that the saga carries; `ok` carries it on.
    """

    participant: str
    do: Callable[[str, Any], Command]
    ok: type[Event]
    refused: type[Event]
    refusal: str
    settle: Callable[[str], Command]
    settled: type[Event]
    undo: Callable[[str], Command]
    undone: type[Event]
    record: Callable[[str], Command]


@dataclass(frozen=True, slots=True)
class Saga:
    """`started` opens it, `confirm`/`cancel` ask the pivot, `confirmed`/`cancelled` are its two answers.

    `snapshot` reads from a hold's event what the next hold needs to know.
    """

    owner: str
    started: type[Event]
    confirm: Callable[[str], Command]
    cancel: Callable[[str, str], Command]
    confirmed: type[Event]
    cancelled: type[Event]
    timed_out: str
    snapshot: Callable[[Any], Any]
    steps: tuple[Step, ...]

"""What was seen of a run: sights, each in one of the sources that an engineer has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

NONE: Final = "none"
"""Stands for the plant of a run without any."""

RECORD: Final = "debugging.jsonl"
"""The file of a study's diagnoses."""


class Source(StrEnum):
    """Where an engineer looks."""

    ALERT = "alert"
    METRIC = "metric"
    LOG = "log"
    ATTENTION = "dead letter"
    STUCK = "stuck order"
    CLIENT = "customer"
    AUDIT = "audit"
    TIMELINE = "timeline"
    HISTORY = "history"


WATCHED: Final = (
    Source.ALERT,
    Source.METRIC,
    Source.LOG,
    Source.ATTENTION,
    Source.STUCK,
    Source.CLIENT,
    Source.AUDIT,
)
"""The sources that show something to whoever watches the system, in the order in which they are looked at. A timeline
and a history are of one order, so somebody must have a reason to look at that order."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Something that a source shows, `at` seconds after the load began.

    `what` has no ids and no numbers, so that the same thing reads the same in another run. `service`, `step` and
    `order` are those that it names; empty: it names none. A step is a message, such as `PaymentVoided`.
    """

    at: float
    source: Source
    what: str
    service: str = ""
    step: str = ""
    order: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What two runs have in common."""
        return self.source, self.service, self.what


@dataclass(frozen=True, slots=True)
class Seen:
    """All sights of a run. `plant` is NONE for a control; `faults` were in force during the load."""

    plant: str
    mode: str
    faults: tuple[str, ...]
    orders: int
    sights: tuple[Sight, ...]
    problem: str = ""


def read(path: Path) -> Seen:
    """Read what `write` wrote."""
    document = json.loads(path.read_text())
    sights = tuple(Sight(**{**one, "source": Source(one["source"])}) for one in document["sights"])
    return Seen(**{**document, "faults": tuple(document["faults"]), "sights": sights})


def write(path: Path, seen: Seen) -> None:
    """Write it as JSON; a file that exists is whole."""
    partly = path.with_suffix(".part")
    partly.write_text(json.dumps(_document(seen)))
    partly.replace(path)


def _document(seen: Seen) -> dict[str, Any]:
    sights: Sequence[Any] = [asdict(one) for one in seen.sights]
    return {**asdict(seen), "sights": sights}

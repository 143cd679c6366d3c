"""The outcome of each order of a load test, one JSON object a line: `{"kind", "ms", "wrong"}`; and figures over them.

Locust's own CSV files lack what it counted in the last second or so, and so the orders that took longest.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import IO

FILE = "orders.jsonl"


class Outcomes:
    """Appends to a file, as other processes may; every line is written whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("a", buffering=1)

    def add(self, kind: str, milliseconds: float, wrong: str | None) -> None:
        """Write one outcome: `milliseconds` from first attempt to last answer; `wrong`: how it ended wrongly."""
        self._file.write(json.dumps({"kind": kind, "ms": round(milliseconds, 2), "wrong": wrong}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one kind of order: how many, how many ended wrongly, how often in which way, and times in ms."""

    orders: int
    failed: int
    wrong: dict[str, int]
    p50: float
    p95: float
    p99: float


def figures(path: Path) -> dict[str, Figures]:
    """Compute the figures of each kind in a file, in alphabetical order."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    wrong: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with path.open() as lines:
        for line in lines:
            order = json.loads(line)
            times[order["kind"]].append(order["ms"])
            if order["wrong"]:
                wrong[order["kind"]][order["wrong"]] += 1
    return {kind: _figures(sorted(times[kind]), wrong[kind]) for kind in sorted(times)}


def _figures(times: Sequence[float], wrong: Counter[str]) -> Figures:
    p50, p95, p99 = (share(times, part) for part in (0.50, 0.95, 0.99))
    return Figures(len(times), wrong.total(), dict(wrong), p50, p95, p99)


def share(times: Sequence[float], part: float) -> float:
    """The percentile `part` (0 to 1) of sorted times, by nearest rank: the least that so many do not exceed."""
    return times[max(ceil(len(times) * part), 1) - 1]

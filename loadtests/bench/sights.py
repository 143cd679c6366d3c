"""What became of the orders of a run, from the history that its clients wrote. Pure, but for reading the file."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from loadtests.bench.record import LATE, Seen
from loadtests.history import COMPLETIONS, Line, read_lines
from loadtests.outcomes import share
from loadtests.shoppers import KINDS

End = Literal["completed", "timed out", "failed"]
"""Completed: with the end that the kind of order must come to."""
REASONS: Final = {kind.name: kind.reason for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Sight:
    """One order as its client saw it: when it arrived (in s, monotonic clock), how it ended, after how many ms."""

    at: float
    end: End
    ms: float


def seen(path: Path, settle: float, duration: float) -> Seen:
    """Compute the figures of the orders in a history that arrived within `duration` s, from `settle` s on.

    Raises:
        ValueError: A line is not one of a history.
    """
    return figures(sights(read_lines(path)), settle, duration)


def figures(orders: Sequence[Sight], settle: float, duration: float) -> Seen:
    """Compute the figures of those of the orders that arrived within `duration` s, from `settle` s on. Pure."""
    begin = min((order.at for order in orders), default=0.0) + settle
    window = [order for order in orders if begin <= order.at < begin + duration]
    if not window:
        return Seen(0, 0, 0, 0.0, 0.0, 0.0, 0.0)
    counts = {end: sum(order.end == end for order in window) for end in ("completed", "timed out", "failed")}
    times = sorted(order.ms for order in window)
    p50, p95, p99 = (share(times, part) for part in (0.50, 0.95, 0.99))
    rate = round(counts["completed"] / duration, 3)
    return Seen(len(window), counts["timed out"], counts["failed"], rate, p50, p95, p99)


def sights(lines: Sequence[Line]) -> list[Sight]:
    """Find what became of each order; one without a last answer counts, as timed out."""
    by_key: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.get("op") == "order" and (line["type"] == "invoke" or line["type"] in COMPLETIONS):
            by_key[line["key"]].append(line)
    return [_sight(of_order) for of_order in by_key.values()]


def _sight(lines: Sequence[Line]) -> Sight:
    first, last = lines[0], lines[-1]
    end = _end(last)
    return Sight(first["mono"], end, round((last["mono"] - first["mono"]) * 1000, 2) if end == "completed" else LATE)


def _end(last: Line) -> End:
    """How an order ended whose last line this is: a request that nothing answered has no other."""
    if last["type"] in ("invoke", "unknown"):
        return "timed out"
    reason = last.get("value", {}).get("cancellation_reason")
    if last["type"] == "ok" and (last["status"], reason) == _right(last.get("kind", "")):
        return "completed"
    cancelled = last["status"] == "CANCELLED" and reason != "TIMED_OUT"
    return "failed" if last["type"] == "fail" or cancelled else "timed out"


def _right(kind: str) -> tuple[str, str | None]:
    """Status and reason that an order of that kind must end with."""
    reason = REASONS.get(kind)
    return ("CANCELLED", reason) if reason else ("COMPLETED", None)

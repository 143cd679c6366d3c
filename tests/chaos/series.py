"""A history as time series, for the report. Times are seconds since its first operation or fault."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Final

from loadtests.history import Line
from loadtests.outcomes import share
from tests.chaos.purchases import Purchase

WIDTHS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
BUCKETS: Final = 160
PER_LATENCY: Final = 12
"""Orders that a bucket of latencies should hold, so that its 95th percentile is more than its longest."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """A state of readiness that a service was in, from `begin` to `end`."""

    service: str
    status: str
    begin: float
    end: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """An interval; `p50` and `p95`, in ms, are of the `answered` orders that came in it."""

    begin: float
    end: float
    came: int = 0
    completed: int = 0
    cancelled: int = 0
    open: int = 0
    answered: int = 0
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """Turns both clocks of a history into seconds since the first operation or fault in it."""

    mono: float
    wall: float

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Clock:
        """Take the median difference of the clocks, since the wall clock may be set during a run."""
        if not lines:
            return cls(0.0, 0.0)
        mono = float(next((line for line in lines if line["type"] != "ready"), lines[0])["mono"])
        return cls(mono, mono + median(line["at"] - line["mono"] for line in lines))

    def at(self, line: Line) -> float:
        return float(line["mono"]) - self.mono

    def of_wall(self, at: float) -> float:
        return at - self.wall


def readiness(lines: Iterable[Line], clock: Clock, until: float) -> dict[str, list[Readiness]]:
    """The states of each service one after the other, from 0 on; the last lasts until the end."""
    changes: dict[str, list[Line]] = {}
    for line in lines:
        if line["type"] == "ready":
            changes.setdefault(line["service"], []).append(line)
    return {
        service: [
            Readiness(service, line["status"], max(clock.at(line), 0.0), end, tuple(line["reasons"]))
            for line, end in zip(states, [*(clock.at(line) for line in states[1:]), until], strict=True)
            if end > 0
        ]
        for service, states in changes.items()
    }


def buckets(orders: Sequence[Purchase], until: float) -> list[Bucket]:
    """Arrivals, ends and orders in flight (the most at once) in equal intervals."""
    width = _width(until)
    came = sorted(one.began for one in orders)
    left = sorted(one.left for one in orders if one.left is not None)
    completed = sorted(one.left for one in orders if one.left is not None and one.status == "COMPLETED")
    cancelled = sorted(one.left for one in orders if one.left is not None and one.status == "CANCELLED")
    intervals = []
    for number in range(ceil(until / width)):
        begin, end = number * width, (number + 1) * width
        moments = [begin, *came[bisect_left(came, begin) : bisect_left(came, end)]]
        intervals.append(
            Bucket(
                begin,
                end,
                _between(came, begin, end),
                _between(completed, begin, end),
                _between(cancelled, begin, end),
                max(bisect_right(came, at) - bisect_right(left, at) for at in moments),
            )
        )
    return intervals


def latencies(orders: Sequence[Purchase], until: float) -> list[Bucket]:
    """Percentiles of the orders that came in each interval, wide enough that most hold PER_LATENCY orders."""
    answered = [one for one in orders if one.left is not None and one.ended]
    least = max(until * PER_LATENCY / max(len(answered), 1), _width(until))
    width = next((width for width in WIDTHS if width >= least), WIDTHS[-1])
    intervals = []
    for number in range(ceil(until / width)):
        begin, end = number * width, (number + 1) * width
        times = sorted(one.seconds(until) * 1000 for one in answered if begin <= one.began < end)
        if times:
            intervals.append(Bucket(begin, end, answered=len(times), p50=share(times, 0.5), p95=share(times, 0.95)))
    return intervals


def _width(until: float) -> float:
    return next((width for width in WIDTHS if until / width <= BUCKETS), WIDTHS[-1])


def _between(times: Sequence[float], begin: float, end: float) -> int:
    return bisect_left(times, end) - bisect_left(times, begin)


def suffered(orders: Sequence[Purchase], until: float, most: int = 6) -> list[Purchase]:
    """The worst orders first: those whose clients were never told an end, then by how long they waited."""
    return sorted(orders, key=lambda one: (one.ended or one.end == "fail", -one.seconds(until)))[:most]

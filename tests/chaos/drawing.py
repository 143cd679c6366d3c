"""The charts of the report as shapes with coordinates; its template writes them as SVG. Nothing here knows HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Final

CHARACTER: Final = 6.3
"""The width of a character in labels, in units of the drawing: 11 units high, sans-serif, somewhat generous."""

Place = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Rect:
    x: float
    y: float
    width: float
    height: float
    look: str
    title: str = ""
    tag: str = "rect"


@dataclass(frozen=True, slots=True)
class Line:
    """`points` are coordinates as SVG's path has them."""

    points: str
    look: str
    title: str = ""
    tag: str = "path"


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    radius: float
    look: str
    title: str = ""
    tag: str = "circle"


@dataclass(frozen=True, slots=True)
class Text:
    """`anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    look: str = "label"
    anchor: str = "start"
    tag: str = "text"


Shape = Rect | Line | Dot | Text


@dataclass
class Drawing:
    """Shapes in the order in which they are painted."""

    width: float
    name: str
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        self.shapes.extend(shapes)


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval with a label; `look` is a class of the style sheet."""

    begin: float
    end: float
    label: str
    look: str
    title: str


def linear(low: float, high: float, start: float, end: float) -> Place:
    """`low` is drawn at `start`, `high` at `end`."""
    span = (high - low) or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 2)


def logarithmic(low: float, high: float, start: float, end: float) -> Place:
    """The same on a logarithmic scale; what is below `low` is drawn at `start`."""
    place = linear(log10(low), log10(high), start, end)
    return lambda value: place(log10(max(value, low)))


def ticks(high: float, most: int) -> list[float]:
    """Round numbers from 0 up to `high`, at most `most` besides 0."""
    if high <= 0:
        return [0.0]
    size = 10.0 ** floor(log10(high / most))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if high / (size * factor) <= most)
    return [round(number * step, 10) for number in range(floor(high / step + 1e-9) + 1)]


def time_ticks(begin: float, end: float, most: int) -> list[float]:
    """Round times between `begin` and `end`, at most `most`."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((one for one in steps if (end - begin) / one <= most), 7200)
    return [round(number * step, 6) for number in range(ceil(begin / step - 1e-9), floor(end / step + 1e-9) + 1)]


def moment(seconds: float, minutes: bool = False) -> str:
    """A time since the beginning: `12 s`, or with minutes `3:05`."""
    if minutes:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    return f"{round(seconds, 1):g} s"


def duration(seconds: float) -> str:
    """`340 ms`, `4.2 s` or `2 min 5 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def polyline(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)


def steps(values: Sequence[tuple[float, float, float]]) -> str:
    """A line that keeps each value (begin, end, value) for its whole interval, and breaks where intervals do not meet.

    Coordinates of the drawing.
    """
    found, last = "", None
    for begin, end, y in values:
        found += f"{'L' if begin == last else 'M'}{begin:g},{y:g}L{end:g},{y:g}"
        last = end
    return found


def area(values: Sequence[tuple[float, float, float]], floor_at: float) -> str:
    """The same line, filled down to y = `floor_at`."""
    if not values:
        return ""
    return f"M{values[0][0]:g},{floor_at:g}L{steps(values)[1:]}L{values[-1][1]:g},{floor_at:g}Z"


def wide(text: str) -> float:
    return len(text) * CHARACTER


def packed(bars: Sequence[Bar], x: Place, left: float, right: float) -> list[tuple[int, Bar, Text, Rect]]:
    """Place each bar in a lane with its label, so that nothing overlaps; y is that of the first lane.

    The label stands in its bar, or else to the right of it, or else to the left; it is cut off where there is no room.
    """
    taken: list[float] = []
    placed = []
    for bar in sorted(bars, key=lambda one: one.begin):
        begin, end = x(bar.begin), max(x(bar.end), x(bar.begin) + 4)
        label = _cut(bar.label, max(right - end, begin - left, end - begin) - 10)
        needed = wide(label)
        inside = end - begin >= needed + 10
        after = end + 5 + needed <= right
        start = begin if inside or after else begin - 5 - needed
        stop = end if inside or not after else end + 5 + needed
        lane = next((number for number, until in enumerate(taken) if until + 8 <= start), len(taken))
        taken[lane : lane + 1] = [stop]
        if inside:
            text = Text(begin + 5, 12.5, label, "on-bar")
        elif after:
            text = Text(end + 5, 12.5, label)
        else:
            text = Text(begin - 5, 12.5, label, anchor="end")
        rect = Rect(begin, 1, round(end - begin, 2), 16, f"bar {bar.look}", bar.title)
        placed.append((lane, bar, text, rect))
    return placed


def _cut(label: str, room: float) -> str:
    """The label, or as much of it as there is room for."""
    return label if wide(label) <= room else f"{label[: max(int(room // CHARACTER) - 1, 1)]}…"

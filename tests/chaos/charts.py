"""The two pictures of the report: the whole run over time, and the life of one order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.chaos.drawing import (
    Bar,
    Dot,
    Drawing,
    Line,
    Place,
    Rect,
    Text,
    area,
    duration,
    linear,
    logarithmic,
    moment,
    packed,
    polyline,
    steps,
    ticks,
    time_ticks,
    wide,
)
from tests.chaos.series import Bucket, Purchase, Readiness

LANE: Final = 20
TITLE: Final = 24
LEGEND: Final = 15
GAP: Final = 18
DECADES: Final = (1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0)
DOTS: Final = 2500
SERVICES: Final = ("order", "inventory", "payment", "shipping")
AROUND: Final = 0.06
"""The part of an order's life that is shown before and after it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the overview shows; times are seconds since the beginning, `until` is the last of them."""

    until: float
    faults: Sequence[Bar]
    orders: Sequence[Purchase]
    buckets: Sequence[Bucket]
    latencies: Sequence[Bucket]
    readiness: Mapping[str, Sequence[Readiness]]


@dataclass
class _Panels:
    """Lays panels out below each other, all over the same time."""

    drawing: Drawing
    left: float
    right: float
    x: Place

    def title(self, text: str, legend: Sequence[tuple[str, str]] = ()) -> None:
        """A heading, and what the colours mean: (text, class), to its right, or below it where there is no room."""
        drawing = self.drawing
        drawing.height += TITLE
        drawing.add(Text(self.left, drawing.height - 9, text, "heading"))
        widths = [wide(label) + 14 for label, _ in legend]
        at = self.right - sum(widths)
        if at < self.left + wide(text) + 24:
            drawing.height += LEGEND
            at = self.left - 14
        for (label, look), width in zip(legend, widths, strict=True):
            drawing.add(Text(round(at + 14, 1), drawing.height - 9, label, f"legend {look}"))
            at += width

    def bars(self, bars: Sequence[Bar]) -> int:
        """Bars in as many lanes as they need; returns how many these are."""
        placed = packed(bars, self.x, self.left, self.right)
        lanes = max((lane + 1 for lane, *_ in placed), default=0)
        for lane, _, text, rect in placed:
            y = self.drawing.height + lane * LANE
            self.drawing.add(replace(rect, y=rect.y + y), replace(text, y=text.y + y))
        self.drawing.height += lanes * LANE
        return lanes

    def numbers(self, height: float, values: Sequence[float], y: Place, name: Any) -> None:
        """Horizontal lines with their values."""
        for value in values:
            at = y(value)
            self.drawing.add(Line(polyline([(self.left, at), (self.right, at)]), "grid"))
            self.drawing.add(Text(self.left - 6, at + 3.5, name(value), "tick", "end"))
        self.drawing.height += height + GAP


def overview(run: Run, width: float, name: str) -> Drawing:
    """Faults over rate, latency, orders in flight and readiness."""
    left, right = 44.0, width - 8
    drawing = Drawing(width, name)
    panels = _Panels(drawing, left, right, linear(0, run.until or 1, left, right))
    top = _faults(panels, run)
    first = drawing.height
    _rate(panels, run)
    _latency(panels, run)
    _flight(panels, run)
    last = drawing.height - GAP
    if run.readiness:
        _readiness(panels, run)
    _axis(panels, run.until, TITLE)
    _bands(panels, run.faults, top, drawing.height - 22)
    _columns(panels, run, first, last)
    return drawing


def _faults(panels: _Panels, run: Run) -> float:
    """Returns where the first bar is, and the bands begin."""
    looks = [("felt", "felt"), ("not felt", "unfelt"), ("not known", "unknown")]
    found = {bar.look for bar in run.faults}
    panels.title("Faults", [one for one in looks if one[1] in found])
    top = panels.drawing.height
    if not panels.bars(run.faults):
        panels.drawing.add(Text(panels.left, top + 13, "none"))
        panels.drawing.height += LANE
    return top


def _rate(panels: _Panels, run: Run) -> None:
    panels.title("Orders a second", [("came", "c-came"), ("completed", "c-completed"), ("cancelled", "c-cancelled")])
    top, height = panels.drawing.height, 96.0
    high = max((max(one.came, one.completed + one.cancelled) / (one.end - one.begin) for one in run.buckets), default=0)
    y = linear(0, (high or 1) * 1.05, top + height, top)
    panels.numbers(height, ticks(high or 1, 4), y, lambda value: f"{value:g}")

    def spans(count: Callable[[Bucket], int]) -> list[tuple[float, float, float]]:
        return [
            (panels.x(one.begin), panels.x(min(one.end, run.until)), y(count(one) / (one.end - one.begin)))
            for one in run.buckets
        ]

    panels.drawing.add(
        Line(area(spans(lambda one: one.completed + one.cancelled), y(0)), "fill c-cancelled"),
        Line(area(spans(lambda one: one.completed), y(0)), "fill c-completed"),
        Line(steps(spans(lambda one: one.came)), "stroke c-came"),
    )


def _latency(panels: _Panels, run: Run) -> None:
    legend = [("p50", "c-p50"), ("p95", "c-p95"), ("one order", "c-order"), ("never told its end", "c-lost")]
    lost = [one for one in run.orders if not one.ended and one.end != "fail"]
    panels.title("Time to the end, by arrival (ms)", legend if lost else legend[:3])
    top, height = panels.drawing.height, 150.0
    answered = [one for one in run.orders if one.ended and one.left is not None]
    times = [max(one.seconds(run.until) * 1000, 1) for one in answered] or [1.0]
    low = max(decade for decade in DECADES if decade <= min(times))
    high = next((decade for decade in DECADES if decade >= max(times)), DECADES[-1])
    high = max(high, low * 10)
    y = logarithmic(low, high, top + height, top + (22 if lost else 6))
    panels.numbers(height, [one for one in DECADES if low <= one <= high], y, lambda value: f"{value:,.0f}")
    shown = sorted(answered, key=lambda one: -one.seconds(run.until))[:DOTS]
    for one in shown:
        look = "dot c-completed" if one.status == "COMPLETED" else "dot c-cancelled"
        panels.drawing.add(Dot(panels.x(one.came), y(one.seconds(run.until) * 1000), 1.9, look, _about(one, run.until)))
    if lost:
        panels.drawing.add(Text(panels.left - 6, top + 9.5, "never", "tick", "end"))
    for one in lost:
        panels.drawing.add(Dot(panels.x(one.came), top + 6, 3, "dot c-lost", _about(one, run.until)))
    last = max((one.came for one in answered), default=0.0)
    for look, values in (("c-p50", [one.p50 for one in run.latencies]), ("c-p95", [one.p95 for one in run.latencies])):
        spans = [
            (panels.x(one.begin), panels.x(min(one.end, max(last, one.begin + 1))), y(value))
            for one, value in zip(run.latencies, values, strict=True)
            if value is not None
        ]
        panels.drawing.add(Line(steps(spans), f"stroke {look}"))


def _about(one: Purchase, until: float) -> str:
    told = f"{one.status} {one.reason or ''}".rstrip() if one.status else one.end
    return f"{one.kind or 'order'} at {moment(one.came)}: {told}, {duration(one.seconds(until))} ({one.key})"


def _flight(panels: _Panels, run: Run) -> None:
    panels.title("Orders in flight, as clients see it")
    top, height = panels.drawing.height, 78.0
    high = max((one.open for one in run.buckets), default=0) or 1
    y = linear(0, high * 1.05, top + height, top)
    panels.numbers(height, ticks(high, 3), y, lambda value: f"{value:g}")
    spans = [(panels.x(one.begin), panels.x(min(one.end, run.until)), y(one.open)) for one in run.buckets]
    panels.drawing.add(
        Line(area(spans, y(0)), "fill c-open"),
        Line(steps(spans), "stroke c-open"),
    )


def _readiness(panels: _Panels, run: Run) -> None:
    looks = [(status, f"s-{status}") for status in ("ready", "degraded", "unready", "unreachable")]
    panels.title("Readiness", looks)
    for service, states in run.readiness.items():
        y = panels.drawing.height
        panels.drawing.add(Text(panels.left + 1, y + 9, service, "lane"))
        for one in states:
            begin, end = panels.x(one.begin), panels.x(one.end)
            title = f"{service}: {one.status} from {moment(one.begin)} for {duration(one.end - one.begin)}"
            title += f"; {'; '.join(one.reasons)}" if one.reasons else ""
            panels.drawing.add(Rect(begin, y + 13, max(round(end - begin, 2), 1), 7, f"state s-{one.status}", title))
        panels.drawing.height += 27


def _axis(panels: _Panels, until: float, room: float) -> None:
    drawing = panels.drawing
    drawing.height += room
    for at in time_ticks(0, until, int(panels.right - panels.left) // 70):
        anchor = "start" if at == 0 else "end" if panels.x(at) > panels.right - 14 else "middle"
        drawing.add(Text(panels.x(at), drawing.height - 6, moment(at, minutes=until > 120), "tick", anchor))


def _bands(panels: _Panels, faults: Sequence[Bar], top: float, bottom: float) -> None:
    """Behind everything else: when anything was broken."""
    spans: list[tuple[float, float]] = []
    for one in sorted(faults, key=lambda one: one.begin):
        begin, end = panels.x(one.begin), max(panels.x(one.end), panels.x(one.begin) + 1.5)
        if spans and begin <= spans[-1][1]:
            begin, end = spans[-1][0], max(end, spans.pop()[1])
        spans.append((begin, end))
    bands = [Rect(begin, top, round(end - begin, 2), bottom - top, "band") for begin, end in spans]
    panels.drawing.shapes[:0] = bands


def _columns(panels: _Panels, run: Run, top: float, bottom: float) -> None:
    """Behind the dots and over the areas: what happened in each interval is told where the pointer is."""
    dots = [shape for shape in panels.drawing.shapes if shape.tag == "circle"]
    panels.drawing.shapes = [shape for shape in panels.drawing.shapes if shape.tag != "circle"]
    for one in run.buckets:
        here = [late for late in run.latencies if late.begin <= one.begin < late.end]
        times = f"; p50 {here[0].p50:,.0f} ms, p95 {here[0].p95:,.0f} ms" if here and here[0].p50 is not None else ""
        title = (
            f"{moment(one.begin)} to {moment(one.end)}: {one.came} came, {one.completed} completed, "
            f"{one.cancelled} cancelled, {one.open} in flight{times}"
        )
        begin, end = panels.x(one.begin), panels.x(min(one.end, run.until))
        panels.drawing.add(Rect(begin, top, round(end - begin, 2), bottom - top, "hit", title))
    panels.drawing.add(*dots)


@dataclass(frozen=True, slots=True)
class Step:
    """A command claimed or an event recorded; `at` in seconds since the beginning."""

    at: float
    service: str
    message: str
    kind: str
    cause: str


@dataclass(frozen=True, slots=True)
class Request:
    """An operation of the client; `end`: None where it never ended."""

    op: str
    begin: float
    end: float | None
    how: str
    answer: str


def life(
    one: Purchase, requests: Sequence[Request], path: Sequence[Step], faults: Sequence[Bar], until: float, width: float
) -> Drawing:
    """What the client and the four services did for one order, and what was broken meanwhile."""
    moments = [one.came, *(step.at for step in path), *(until if r.end is None else r.end for r in requests)]
    begin, end = min(moments), max(moments)
    margin = max(end - begin, 0.05) * AROUND
    begin, end = begin - margin, end + margin
    left, right = 66.0, width - 8
    drawing = Drawing(width, f"The life of the order {one.key}")
    panels = _Panels(drawing, left, right, linear(begin, end, left, right))
    meanwhile = [
        Bar(max(bar.begin, begin), min(bar.end, end), bar.label, bar.look, bar.title)
        for bar in faults
        if bar.end >= begin and bar.begin <= end
    ]
    drawing.height = top = 2.0
    panels.bars(meanwhile)
    drawing.height += 4
    _client(panels, requests, until)
    for service in SERVICES:
        _lane(panels, service, [step for step in path if step.service == service], one.came)
    _axis_of_life(panels, begin, end, one.came)
    _bands(panels, meanwhile, top, drawing.height - 22)
    return drawing


def _client(panels: _Panels, requests: Sequence[Request], until: float) -> None:
    y = panels.drawing.height
    panels.drawing.add(Text(panels.left - 8, y + 13, "client", "lane", "end"))
    for one in requests:
        begin, end = panels.x(one.begin), panels.x(until if one.end is None else one.end)
        title = f"{one.op}: {one.how} {one.answer}".rstrip()
        title += "" if one.end is None else f", {duration(one.end - one.begin)}"
        panels.drawing.add(Rect(begin, y + 5, max(round(end - begin, 2), 3), 9, f"request r-{one.how}", title))
    panels.drawing.height += LANE


def _lane(panels: _Panels, service: str, path: Sequence[Step], came: float) -> None:
    y = panels.drawing.height + 9
    panels.drawing.add(Text(panels.left - 8, y + 4, service, "lane", "end"))
    panels.drawing.add(Line(polyline([(panels.left, y), (panels.right, y)]), "grid"))
    for step in path:
        title = f"{service}: {step.message} ({step.kind}) after {duration(max(step.at - came, 0))}"
        panels.drawing.add(Dot(panels.x(step.at), y, 4 if step.kind == "event" else 2.8, f"step k-{step.kind}", title))
    panels.drawing.height += LANE


def _axis_of_life(panels: _Panels, begin: float, end: float, came: float) -> None:
    drawing = panels.drawing
    drawing.height += 18
    for at in time_ticks(0, end - came, int(panels.right - panels.left) // 70):
        drawing.add(Text(panels.x(came + at), drawing.height - 5, moment(at), "tick", "middle"))

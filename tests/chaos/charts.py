"""The whole run as a picture: faults, rate, latency, orders in flight and readiness over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.drawing import (
    Bar,
    Dot,
    Drawing,
    Line,
    Rect,
    Text,
    area,
    duration,
    linear,
    logarithmic,
    moment,
    steps,
    ticks,
    time_ticks,
)
from tests.chaos.panels import GAP, LANE, TITLE, Panels
from tests.chaos.purchases import Purchase
from tests.chaos.series import Bucket, Readiness

DECADES: Final = (1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0)
DOTS: Final = 2500


@dataclass(frozen=True, slots=True)
class Run:
    """What the overview shows; times are seconds since the beginning, `until` is the last of them."""

    until: float
    faults: Sequence[Bar]
    orders: Sequence[Purchase]
    buckets: Sequence[Bucket]
    latencies: Sequence[Bucket]
    readiness: Mapping[str, Sequence[Readiness]]


def overview(run: Run, width: float, name: str) -> Drawing:
    """Faults over rate, latency, orders in flight and readiness."""
    left, right = 44.0, width - 8
    drawing = Drawing(width, name)
    panels = Panels(drawing, left, right, linear(0, run.until or 1, left, right))
    top = _faults(panels, run)
    first = drawing.height
    _rate(panels, run)
    _latency(panels, run)
    _flight(panels, run)
    last = drawing.height - GAP
    if run.readiness:
        _readiness(panels, run)
    _axis(panels, run.until, TITLE)
    panels.bands(run.faults, top, drawing.height - 22)
    _columns(panels, run, first, last)
    return drawing


def _faults(panels: Panels, run: Run) -> float:
    """Draw the faults; returns the y of the first bar, where the bands begin."""
    looks = [("felt", "felt"), ("not felt", "unfelt"), ("not known", "unknown")]
    looks_in_use = {bar.look for bar in run.faults}
    panels.title("Faults", [one for one in looks if one[1] in looks_in_use])
    top = panels.drawing.height
    if not panels.bars(run.faults):
        panels.drawing.add(Text(panels.left, top + 13, "none"))
        panels.drawing.height += LANE
    return top


def _rate(panels: Panels, run: Run) -> None:
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


def _latency(panels: Panels, run: Run) -> None:
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
        panels.drawing.add(
            Dot(panels.x(one.began), y(one.seconds(run.until) * 1000), 1.9, look, _about(one, run.until))
        )
    if lost:
        panels.drawing.add(Text(panels.left - 6, top + 9.5, "never", "tick", "end"))
    for one in lost:
        panels.drawing.add(Dot(panels.x(one.began), top + 6, 3, "dot c-lost", _about(one, run.until)))
    last = max((one.began for one in answered), default=0.0)
    for look, values in (("c-p50", [one.p50 for one in run.latencies]), ("c-p95", [one.p95 for one in run.latencies])):
        spans = [
            (panels.x(one.begin), panels.x(min(one.end, max(last, one.begin + 1))), y(value))
            for one, value in zip(run.latencies, values, strict=True)
            if value is not None
        ]
        panels.drawing.add(Line(steps(spans), f"stroke {look}"))


def _about(one: Purchase, until: float) -> str:
    end = f"{one.status} {one.reason or ''}".rstrip() if one.status else one.end
    return f"{one.kind or 'order'} at {moment(one.began)}: {end}, {duration(one.seconds(until))} ({one.key})"


def _flight(panels: Panels, run: Run) -> None:
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


def _readiness(panels: Panels, run: Run) -> None:
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


def _axis(panels: Panels, until: float, room: float) -> None:
    drawing = panels.drawing
    drawing.height += room
    for at in time_ticks(0, until, int(panels.right - panels.left) // 70):
        anchor = "start" if at == 0 else "end" if panels.x(at) > panels.right - 14 else "middle"
        drawing.add(Text(panels.x(at), drawing.height - 6, moment(at, minutes=until > 120), "tick", anchor))


def _columns(panels: Panels, run: Run, top: float, bottom: float) -> None:
    """Add a column for each interval, behind the dots and over the areas: its tooltip says what happened in it."""
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

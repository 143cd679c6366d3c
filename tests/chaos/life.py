"""The life of one order as a picture: what its client and the services did, and what was broken meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.drawing import Bar, Dot, Drawing, Line, Rect, Text, duration, linear, moment, polyline, time_ticks
from tests.chaos.panels import LANE, Panels
from tests.chaos.purchases import Purchase

SERVICES: Final = ("order", "inventory", "payment", "shipping")
AROUND: Final = 0.06
"""The part of an order's life that is shown before and after it."""


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
    moments = [one.began, *(step.at for step in path), *(until if r.end is None else r.end for r in requests)]
    begin, end = min(moments), max(moments)
    margin = max(end - begin, 0.05) * AROUND
    begin, end = begin - margin, end + margin
    left, right = 66.0, width - 8
    drawing = Drawing(width, f"The life of the order {one.key}")
    panels = Panels(drawing, left, right, linear(begin, end, left, right))
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
        _lane(panels, service, [step for step in path if step.service == service], one.began)
    _axis(panels, begin, end, one.began)
    panels.bands(meanwhile, top, drawing.height - 22)
    return drawing


def _client(panels: Panels, requests: Sequence[Request], until: float) -> None:
    y = panels.drawing.height
    panels.drawing.add(Text(panels.left - 8, y + 13, "client", "lane", "end"))
    for one in requests:
        begin, end = panels.x(one.begin), panels.x(until if one.end is None else one.end)
        title = f"{one.op}: {one.how} {one.answer}".rstrip()
        title += "" if one.end is None else f", {duration(one.end - one.begin)}"
        panels.drawing.add(Rect(begin, y + 5, max(round(end - begin, 2), 3), 9, f"request r-{one.how}", title))
    panels.drawing.height += LANE


def _lane(panels: Panels, service: str, path: Sequence[Step], came: float) -> None:
    y = panels.drawing.height + 9
    panels.drawing.add(Text(panels.left - 8, y + 4, service, "lane", "end"))
    panels.drawing.add(Line(polyline([(panels.left, y), (panels.right, y)]), "grid"))
    for step in path:
        title = f"{service}: {step.message} ({step.kind}) after {duration(max(step.at - came, 0))}"
        panels.drawing.add(Dot(panels.x(step.at), y, 4 if step.kind == "event" else 2.8, f"step k-{step.kind}", title))
    panels.drawing.height += LANE


def _axis(panels: Panels, begin: float, end: float, came: float) -> None:
    drawing = panels.drawing
    drawing.height += 18
    for at in time_ticks(0, end - came, int(panels.right - panels.left) // 70):
        drawing.add(Text(panels.x(came + at), drawing.height - 5, moment(at), "tick", "middle"))

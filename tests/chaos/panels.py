"""Panels of a picture: one below the other, all over the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.chaos.drawing import Bar, Drawing, Line, Place, Rect, Text, packed, polyline, wide

LANE: Final = 20
TITLE: Final = 24
LEGEND: Final = 15
GAP: Final = 18


@dataclass
class Panels:
    """Draws into `drawing` from its top down, between `left` and `right`; `x` places a time."""

    drawing: Drawing
    left: float
    right: float
    x: Place

    def title(self, text: str, legend: Sequence[tuple[str, str]] = ()) -> None:
        """Draw a heading and its legend of (text, class): to its right, or below it where there is no room."""
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
        """Draw bars in as many lanes as they need; returns how many these are."""
        placed = packed(bars, self.x, self.left, self.right)
        lanes = max((lane + 1 for lane, *_ in placed), default=0)
        for lane, _, text, rect in placed:
            y = self.drawing.height + lane * LANE
            self.drawing.add(replace(rect, y=rect.y + y), replace(text, y=text.y + y))
        self.drawing.height += lanes * LANE
        return lanes

    def numbers(self, height: float, values: Sequence[float], y: Place, name: Callable[[float], str]) -> None:
        """Draw a horizontal line for each value, with its name; the panel is `height` high."""
        for value in values:
            at = y(value)
            self.drawing.add(Line(polyline([(self.left, at), (self.right, at)]), "grid"))
            self.drawing.add(Text(self.left - 6, at + 3.5, name(value), "tick", "end"))
        self.drawing.height += height + GAP

    def bands(self, faults: Sequence[Bar], top: float, bottom: float) -> None:
        """Mark, behind everything else, when anything was broken."""
        spans: list[tuple[float, float]] = []
        for one in sorted(faults, key=lambda one: one.begin):
            begin, end = self.x(one.begin), max(self.x(one.end), self.x(one.begin) + 1.5)
            if spans and begin <= spans[-1][1]:
                begin, end = spans[-1][0], max(end, spans.pop()[1])
            spans.append((begin, end))
        bands = [Rect(begin, top, round(end - begin, 2), bottom - top, "band") for begin, end in spans]
        self.drawing.shapes[:0] = bands

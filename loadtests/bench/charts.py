"""Charts as SVG, without a library and without other files: lines with bands, stacked bars, bars with intervals. Pure.

Colours are CSS variables with the names of `COLOURS`, so that a page can have them light and dark; `themed` puts fixed
ones in their place for a file of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

from loadtests.bench.tables import figure

FONT: Final = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
ROW: Final = 30
BAR: Final = 16
LEFT: Final = 210
WIDTH: Final = 720
COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    "ground": ("#ffffff", "#171d26"),
    "ink": ("#1b2430", "#e8ecf3"),
    "soft": ("#5b6575", "#a3adbd"),
    "line": ("#dde2ea", "#2d3644"),
    "c1": ("#3b5bdb", "#8ea9ff"),
    "c2": ("#c2410c", "#fb9a5b"),
    "c3": ("#0b7a53", "#55d6a6"),
    "c4": ("#9333a8", "#dba2ea"),
    "c5": ("#a16207", "#e5c15c"),
    "c6": ("#4b5563", "#9aa5b5"),
}
"""The variables, light and dark."""
SERIES: Final = ("c1", "c2", "c3", "c4", "c5", "c6")


@dataclass(frozen=True, slots=True)
class Line:
    """A series over x: its points with the ends of their bands, in the order of x; `dashed` for a secondary one."""

    name: str
    points: Sequence[tuple[float, float, float, float]]
    colour: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: its parts, which are stacked, and the interval of their sum, if there is one."""

    name: str
    parts: Sequence[float]
    low: float = 0.0
    high: float = 0.0
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Dots:
    """A row: its values, each with the ends of its interval."""

    name: str
    values: Sequence[tuple[float, float, float]]


def dots(title: str, rows: Sequence[Dots], unit: str, names: Sequence[str]) -> str:
    """Values with their intervals on one logarithmic axis, which has a grid; a colour for each of `names`."""
    low, high = _decade([value for row in rows for each in row.values for value in each if value > 0])
    top, bottom = 38, 38 + len(rows) * ROW

    def x_of(value: float) -> float:
        inside = min(max(log10(max(value, 1e-9)), low), high)
        return LEFT + (inside - low) / (high - low) * (WIDTH - LEFT - 40)

    body = [_legend(names)]
    for value in _ticks(low, high):
        body += [_path(f"M{x_of(value):.1f} {top - 8}V{bottom}", "line")]
        body += [_text(x_of(value), bottom + 18, f"{value:g}", "middle", "soft")]
    body.append(_text(WIDTH - 4, bottom + 18, unit, "end", "soft"))
    for number, row in enumerate(rows):
        y = top + number * ROW + BAR / 2
        body.append(_text(LEFT - 10, y + 4, row.name, "end", "ink"))
        for colour, (middle, least, most) in zip(SERIES, row.values, strict=False):
            body.append(_path(f"M{x_of(least):.1f} {y}H{x_of(most):.1f}", colour, 3))
            body.append(f'<circle cx="{x_of(middle):.1f}" cy="{y}" r="5"{_fill(colour)}/>')
    return _svg(title, WIDTH, bottom + 30, body)


def bars(title: str, rows: Sequence[Bar], unit: str, parts: Sequence[str] = ()) -> str:
    """Horizontal bars with their values; with a legend if they have several parts."""
    most = max([max(sum(row.parts), row.high) for row in rows] + [1e-9])
    scale = (WIDTH - LEFT - 110) / most
    top = 34 if parts else 8
    body = [_legend(parts)] if parts else []
    for number, row in enumerate(rows):
        y = top + number * ROW
        body.append(_text(LEFT - 10, y + BAR - 3, row.name, "end", "ink"))
        x = float(LEFT)
        for colour, value in zip(SERIES, row.parts, strict=False):
            fill = "c6" if row.muted and not parts else colour
            opacity = ' opacity=".55"' if row.muted else ""
            body.append(f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="{BAR}"{_fill(fill)}{opacity}/>')
            x += value * scale
        if row.high > row.low:
            low, high, middle = LEFT + row.low * scale, LEFT + row.high * scale, y + BAR / 2
            body.append(
                _path(f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8", "ink")
            )
            x = max(x, high)
        body.append(_text(x + 8, y + BAR - 3, f"{figure(sum(row.parts))} {unit}", "start", "soft"))
    return _svg(title, WIDTH, top + len(rows) * ROW, body)


def lines(title: str, series: Sequence[Line], x_name: str, y_name: str, beside: Sequence[Line] = ()) -> str:
    """Lines with bands on logarithmic axes, which have room for `beside`, the lines of the charts next to it, too."""
    width, height, left, right, top, bottom = 460, 320, 58, 24, 64, 46
    points = [point for line in (*series, *beside) for point in line.points]
    x_low, x_high = _decade([point[0] for point in points])
    y_low, y_high = _decade([value for point in points for value in point[1:] if value > 0])

    def x_of(value: float) -> float:
        return left + (log10(value) - x_low) / (x_high - x_low) * (width - left - right)

    def y_of(value: float) -> float:
        inside = min(max(log10(max(value, 1e-9)), y_low), y_high)
        return height - bottom - (inside - y_low) / (y_high - y_low) * (height - top - bottom)

    body = [_key(series)]
    for value in _ticks(x_low, x_high):
        body += [_path(f"M{x_of(value):.1f} {top}V{height - bottom}", "line")]
        body += [_text(x_of(value), height - bottom + 16, f"{value:g}", "middle", "soft")]
    for value in _ticks(y_low, y_high):
        body += [_path(f"M{left} {y_of(value):.1f}H{width - right}", "line")]
        body += [_text(left - 6, y_of(value) + 4, f"{value:g}", "end", "soft")]
    body += [_text((left + width - right) / 2, height - 10, x_name, "middle", "soft")]
    body += [_text(left - 44, top - 8, y_name, "start", "soft")]
    for line in series:
        upper = [f"{x_of(x):.1f} {y_of(high):.1f}" for x, _, _, high in line.points]
        lower = [f"{x_of(x):.1f} {y_of(low):.1f}" for x, _, low, _ in reversed(line.points)]
        if any(high > low for _, _, low, high in line.points):
            body.append(f'<path d="M{"L".join([*upper, *lower])}Z"{_fill(line.colour)} opacity=".16"/>')
        middle = "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y, _, _ in line.points)
        body.append(_path(f"M{middle}", line.colour, 2.2, "5 4" if line.dashed else ""))
        if not line.dashed:
            body += [
                f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3"{_fill(line.colour)}/>'
                for x, y, _, _ in line.points
            ]
    return _svg(title, width, height, body)


def themed(svg: str, dark: bool) -> str:
    """The same chart with fixed colours and a ground, for a file of its own."""
    for name, colours in COLOURS.items():
        svg = svg.replace(f"var(--{name})", colours[dark])
    ground = f'<rect width="100%" height="100%" fill="{COLOURS["ground"][dark]}"/>'
    return svg.replace("</title>", f"</title>{ground}", 1)


def variables(dark: bool) -> str:
    """The colours as CSS variables."""
    return " ".join(f"--{name}: {colours[dark]};" for name, colours in COLOURS.items())


def _svg(title: str, width: int, height: int, body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="{FONT}" font-size="13"><title>{escape(title)}</title>'
    )
    return "\n".join([head, *body, "</svg>"])


def _key(series: Sequence[Line]) -> str:
    """The legend of lines, two in a row."""
    parts = []
    for number, line in enumerate(series):
        x, y = 8 + number % 2 * 210, 12 + number // 2 * 20
        parts.append(_path(f"M{x} {y}h24", line.colour, 2.2, "5 4" if line.dashed else ""))
        parts.append(_text(x + 30, y + 4, line.name, "start", "ink"))
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    parts = []
    for number, (name, colour) in enumerate(zip(names, SERIES, strict=False)):
        x = 8 + number * 104
        parts.append(f'<rect x="{x}" y="6" width="11" height="11" rx="2"{_fill(colour)}/>')
        parts.append(_text(x + 16, 16, name, "start", "ink"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{_fill(colour)}>{escape(text)}</text>'


def _path(d: str, colour: str, width: float = 1.0, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{d}" fill="none" stroke="var(--{colour})" stroke-width="{width}"{dashes}/>'


def _fill(colour: str) -> str:
    return f' fill="var(--{colour})"'


def _decade(values: Sequence[float]) -> tuple[float, float]:
    """Logarithms of round bounds around the values."""
    low, high = min(values, default=1.0), max(values, default=10.0)
    bottom, top = floor(log10(low) * 3) / 3, ceil(log10(high) * 3) / 3
    return bottom, top if top > bottom else bottom + 1


def _ticks(low: float, high: float) -> list[float]:
    """Values 1, 2, 5 of each decade between two logarithms."""
    every = [step * 10.0**power for power in range(floor(low), ceil(high) + 1) for step in (1, 2, 5)]
    return [value for value in every if low - 1e-9 <= log10(value) <= high + 1e-9]

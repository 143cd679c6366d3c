"""The published comparison of the modes as bars: one plot for each figure, with its interval. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any, Final

from console_service.protocol import mode_view

PUBLISHED: Final[Mapping[str, Any]] = json.loads((files("console_service") / "published.json").read_text("utf-8"))
"""`about`, `figures` with their titles, and `modes` with their values; written by `tests/console/published.py`."""
SHOWN: Final[Mapping[str, str]] = {
    "p50": "median time until an order is completed, ms",
    "p99": "99th percentile of that time, ms",
    "cpu": "CPU of all programs for a completed order, ms",
    "messages": "messages through the carrier for a completed order",
}
"""Figure -> what its plot is called."""
ROW: Final = 26
LEFT: Final = 170
WIDTH: Final = 420
BAR: Final = WIDTH - LEFT - 64


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure: its title and its bars as SVG."""

    title: str
    svg: str


def plots(published: Mapping[str, Any] = PUBLISHED) -> list[Plot]:
    """A plot for each figure that is there."""
    modes = published["modes"]
    return [Plot(title, _svg(name, title, modes)) for name, title in SHOWN.items() if all(name in one for one in modes)]


def _svg(name: str, title: str, modes: list[Mapping[str, Any]]) -> str:
    most = max(one[name]["high"] for one in modes) or 1.0
    told = "; ".join(f"{_label(one, modes)} {_number(one[name]['median'])}" for one in modes)
    height = ROW * len(modes) + 8
    return "".join(
        (
            f'<svg class="saga bars" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{escape(title)}: {escape(told)}">',
            *(part for row, one in enumerate(modes) for part in _bar(row, one, modes, name, most)),
            "</svg>",
        )
    )


def _bar(row: int, one: Mapping[str, Any], modes: list[Mapping[str, Any]], name: str, most: float) -> Iterator[str]:
    y, value = ROW * row + 4, one[name]
    ends = {part: LEFT + round(BAR * value[part] / most) for part in ("median", "low", "high")}
    style = "choreography" if mode_view(one["mode"]).choreography else "orchestration"
    yield f'<text class="bar-name" x="{LEFT - 10}" y="{y + 14}">{escape(_label(one, modes))}</text>'
    width = max(1, ends["median"] - LEFT)
    yield f'<rect class="bar {style}" x="{LEFT}" y="{y}" width="{width}" height="{ROW - 8}" rx="3"/>'
    if (low := ends["low"]) < (high := ends["high"]):
        yield f'<path class="range" d="M{low} {y + 9}H{high}M{low} {y + 5}v8M{high} {y + 5}v8"/>'
    yield f'<text class="bar-value" x="{ends["high"] + 8}" y="{y + 14}">{_number(value["median"])}</text>'


def _label(one: Mapping[str, Any], modes: list[Mapping[str, Any]]) -> str:
    """The mode, with its rate where there are several."""
    several = len({each["offered"] for each in modes}) > 1
    return str(one["mode"]) + (f" at {one['offered']:g}/s" if several else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"

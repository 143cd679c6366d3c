"""The spans of one order as a waterfall: a bar for each, under the span that it is part of. Pure but for `read`."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from console_service.words import duration

TAIL: Final = 8 * 1024 * 1024
"""Bytes at the end of each file that are looked through."""
MOST: Final = 200
"""Spans that are drawn."""
ROW: Final = 22
LEFT: Final = 330
WIDTH: Final = 1000
BAR: Final = WIDTH - LEFT - 90


@dataclass(frozen=True, slots=True)
class Bar:
    """A span: `depth` says how many spans it is part of; times are seconds from the first start."""

    name: str
    service: str
    depth: int
    start: float
    seconds: float
    failed: bool


def read(folder: str, traces: Iterable[str]) -> list[Mapping[str, Any]]:
    """The spans of these traces in the files of the folder, as far as they are in the last TAIL bytes of each."""
    wanted = tuple(f'"trace_id":"{trace}"'.encode() for trace in traces)
    return [
        span
        for path in sorted(Path(folder).glob("*.jsonl*"))
        for line in _tail(path)
        if any(mark in line for mark in wanted) and (span := _decoded(line))
    ]


def _tail(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            return file.read().splitlines()
    except OSError:
        return []


def _decoded(line: bytes) -> Mapping[str, Any] | None:
    """The span of a line; None of one that the tail begins in the middle of."""
    try:
        span: Mapping[str, Any] = json.loads(line)
    except ValueError:
        return None
    return span


def bars(spans: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """The spans in the order of their start, each after the one that it is part of."""
    ids = {span["span_id"] for span in spans}
    parts: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: span["start"]):
        parts[span["parent_id"] if span["parent_id"] in ids else None].append(span)
    first = min((span["start"] for span in spans), default=0)

    def below(parent: str | None, depth: int) -> Iterator[Bar]:
        for span in parts.pop(parent, ()):
            start, seconds = (span["start"] - first) / 1e9, (span["end"] - span["start"]) / 1e9
            yield Bar(span["name"], span["service"] or "", depth, start, seconds, span["status"] == "error")
            yield from below(span["span_id"], depth + 1)

    return list(below(None, 0))


def draw_waterfall(found: Sequence[Bar]) -> str:
    """The bars as an SVG element; empty if there are none."""
    shown = found[:MOST]
    if not shown:
        return ""
    whole = max(bar.start + bar.seconds for bar in shown) or 1e-9
    height = ROW * len(shown) + 8
    return "".join(
        (
            f'<svg class="saga bars waterfall" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'role="img" aria-label="{len(shown)} spans, {escape(duration(whole))}; the list below says the same">',
            *(part for row, bar in enumerate(shown) for part in _row(row, bar, whole)),
            "</svg>",
        )
    )


def _row(row: int, bar: Bar, whole: float) -> Iterator[str]:
    y, x = ROW * row + 4, LEFT + round(BAR * bar.start / whole)
    width = max(2, round(BAR * bar.seconds / whole))
    kind = "failed" if bar.failed else bar.service
    yield f'<text class="span-name" x="{8 + 14 * min(bar.depth, 8)}" y="{y + 12}">{escape(_label(bar))}</text>'
    yield f'<rect class="span {escape(kind)}" x="{x}" y="{y}" width="{width}" height="{ROW - 8}" rx="2"/>'
    told = ("✗ " if bar.failed else "") + duration(bar.seconds)
    yield f'<text class="span-time" x="{x + width + 6}" y="{y + 12}">{escape(told)}</text>'


def _label(bar: Bar) -> str:
    name = bar.name if len(bar.name) <= 34 else f"{bar.name[:33]}…"
    return f"{bar.service}: {name}"

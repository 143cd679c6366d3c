"""The report of a run, `report.html`: one page without scripts or external files, from its journal and history.

python -m tests.chaos.report FOLDER     writes FOLDER/report.html from FOLDER/journal.json and FOLDER/history.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loadtests.history import FILE as HISTORY
from loadtests.history import Line, read_lines
from loadtests.outcomes import share
from tests.chaos.charts import Run, overview
from tests.chaos.drawing import Bar, duration, moment
from tests.chaos.purchases import Purchase, purchases
from tests.chaos.series import Clock, buckets, latencies, readiness
from tests.chaos.worst import WIDTHS, worst

JOURNAL: Final = "journal.json"
FILE: Final = "report.html"
VERDICTS: Final = {
    "true": "every check is true",
    "false": "a check is false",
    "unknown": "nothing is proved",
}
_ORDER: Final = ("false", "unknown", "true")


class BadRun(ValueError):
    """The folder holds no run that can be reported; the message is one line."""


def write(folder: Path) -> Path:
    """Write the report of the run in that folder; returns the file. Raises BadRun."""
    try:
        journal = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
        quartet = journal["quartet"]
        lines = read_lines(folder / HISTORY) if (folder / HISTORY).exists() else []
        text = page(journal, quartet, lines)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadRun(f"{folder}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    path = folder / FILE
    path.write_text(text, encoding="utf-8")
    return path


def page(journal: Mapping[str, Any], quartet: Mapping[str, Any], lines: Sequence[Line]) -> str:
    """The page as text. Pure."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "moment": moment, "ms": _milliseconds}
    return environment.get_template("report.html").render(**_values(journal, quartet, lines))


def _milliseconds(value: Any) -> str:
    """A figure of the journal, which may lack it."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def _values(journal: Mapping[str, Any], quartet: Mapping[str, Any], lines: Sequence[Line]) -> dict[str, Any]:
    clock = Clock.of(lines)
    orders = purchases(lines, clock.at)
    injections = sorted(quartet.get("injections", ()), key=lambda one: one["began"])
    faults = bars(injections, clock)
    until = max((*(clock.at(line) for line in lines), *(bar.end for bar in faults if lines)), default=0.0)
    run = Run(until, faults, orders, buckets(orders, until), latencies(orders, until), readiness(lines, clock, until))
    verdict = quartet.get("verdict", "unknown")
    return {
        "journal": journal,
        "quartet": quartet,
        "title": (journal.get("experiment") or {}).get("title") or "Chaos",
        "verdict": verdict,
        "says": VERDICTS.get(verdict, verdict),
        "began": began(journal),
        "tiles": tiles(journal, quartet, orders, until),
        "overviews": {
            name: overview(run, width, f"The run over time, {name}") for name, width in WIDTHS.items() if lines
        },
        "checks": sorted(quartet.get("checks", ()), key=lambda one: _ORDER.index(one["verdict"])),
        "injections": list(zip(injections, faults, strict=True)),
        "counts": quartet.get("counts") or {},
        "missing": quartet.get("missing") or {},
        "kinds": kinds(orders, until),
        "statuses": (quartet.get("orders") or {}).get("by_status") or {},
        "latency": {name: row for name, row in (quartet.get("latency") or {}).items() if row},
        "worst": worst(quartet.get("worst") or (), orders, faults, clock, until),
        "settings": flat(quartet.get("settings") or {}),
    }


def bars(injections: Iterable[Mapping[str, Any]], clock: Clock) -> list[Bar]:
    """The faults as bars, in seconds since the history began."""
    drawn = []
    for one in injections:
        begin = clock.of_wall(one["began"])
        end = begin if one.get("ended") is None else clock.of_wall(one["ended"])
        look = "unknown" if one.get("felt") is None else "felt" if one["felt"] else "unfelt"
        felt = {"felt": "felt", "unfelt": "NOT felt", "unknown": "not known whether it was felt"}[look]
        about = f"; {one['detail']}" if one.get("detail") else ""
        title = f"{one['fault']} {one['target']} at {moment(begin)} for {duration(end - begin)}: {felt}{about}"
        drawn.append(Bar(begin, end, f"{one['fault']} {one['target']}", look, title))
    return drawn


def began(journal: Mapping[str, Any]) -> str:
    """When the run began, as text."""
    try:
        return f"{datetime.fromisoformat(journal['start']):%Y-%m-%d %H:%M:%S} UTC"
    except (KeyError, ValueError, TypeError):
        return ""


def tiles(
    journal: Mapping[str, Any], quartet: Mapping[str, Any], orders: Sequence[Purchase], until: float
) -> list[tuple[str, str, str]]:
    """The main figures: value, name, explanation."""
    counts = (quartet.get("counts") or {}).values()
    fired, felt = sum(one["fired"] for one in counts), sum(one["felt"] for one in counts)
    ended = [one for one in orders if one.ended]
    times = sorted(one.seconds(until) for one in ended)
    lost = sum(not one.ended and one.end != "fail" for one in orders)
    completed = sum(one.status == "COMPLETED" for one in ended)
    most = duration(times[-1]) if times else "–"
    return [
        (f"{len(orders):,}", "orders placed", f"{completed:,} completed, {len(ended) - completed:,} cancelled"),
        (f"{lost:,}", "clients without an end", "they gave up waiting for one"),
        (f"{felt} of {fired}", "faults felt", f"of {len(quartet.get('counts') or {})} kinds"),
        (
            duration(share(times, 0.5)) if times else "–",
            "p50 to the end",
            f"p95 {duration(share(times, 0.95))}" if times else "",
        ),
        (most, "longest wait", "among those who were told the end"),
        (duration(float(journal.get("duration") or 0)), "the whole run", f"{duration(until)} of it recorded"),
    ]


def kinds(orders: Sequence[Purchase], until: float) -> list[dict[str, Any]]:
    """A row for each kind of order."""
    rows = []
    for kind in sorted({one.kind for one in orders}):
        mine = [one for one in orders if one.kind == kind]
        times = sorted(one.seconds(until) for one in mine if one.ended)
        rows.append(
            {
                "kind": kind or "order",
                "orders": len(mine),
                "completed": sum(one.status == "COMPLETED" for one in mine),
                "cancelled": sum(one.status == "CANCELLED" for one in mine),
                "open": sum(not one.ended for one in mine),
                "p50": duration(share(times, 0.5)) if times else "–",
                "p95": duration(share(times, 0.95)) if times else "–",
            }
        )
    return rows


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as rows of dotted name and value."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", str(value)))
    return rows


def main(arguments: Sequence[str]) -> int:
    """Write the report of a folder; returns the exit status, 2 if it holds no run."""
    if len(arguments) != 1:
        print("usage: python -m tests.chaos.report FOLDER (one of reports/chaos-…, with journal.json)", file=sys.stderr)
        return 2
    try:
        print(write(Path(arguments[0])))
    except BadRun as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

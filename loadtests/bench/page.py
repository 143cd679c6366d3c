"""A record as one HTML file without other files: charts as inline SVG, a table for each question. Pure."""

import re
from collections.abc import Sequence
from html import escape
from typing import Final

from loadtests.bench import charts, money, questions, report
from loadtests.bench.charts import Bar, Dots, Line
from loadtests.bench.money import Prices
from loadtests.bench.parts import DEAD_SERVICE, SATURATION
from loadtests.bench.record import LATE, Record
from loadtests.bench.summary import Spread, Summary, of_values, spread, summarize
from loadtests.bench.tables import Table
from quartet_stack.settings import SERVICES
from sagakit.modes import MODES, SUBSTRATE_NAMES

FILE: Final = "report.html"
COLOURS: Final = {"choreography": "c1", "orchestration": "c2"}
STACK: Final = (*SERVICES, "databases", "carrier")
STAR: Final = "* Over an emulator or a development server: the carrier's part is not that of the real one."
WORDS: Final = 24
"""Text that is longer is set as words, and not as a figure."""
STYLE: Final = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 ui-sans-serif, system-ui, "Segoe UI",
  Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.9rem; letter-spacing: -.02em; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p, li { max-width: 78ch; } .soft { color: var(--soft); font-size: .92rem; }
code { font: .88em ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; }
.card { background: var(--ground); border: 1px solid var(--line); border-radius: 12px; padding: 1rem;
  overflow-x: auto; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
svg { display: block; width: 100%; height: auto; } .wide svg { min-width: 560px; }
table { border-collapse: collapse; width: 100%; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .45rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child { text-align: left; min-width: 12rem; }
td { white-space: nowrap; } td:first-child { white-space: normal; }
td.words { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 11rem; }
.found { border-left: 4px solid var(--c2); } .none { border-left: 4px solid var(--c3); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; } a { color: var(--c1); }
"""


def page(record: Record, findings: Sequence[str], prices: Prices) -> str:
    """The whole file; `findings` are those of the bench's own checks."""
    summaries = summarize(record)
    middle = [one for one in summaries if one.offered == record.plan.middle]
    over = ("Latency", latency_at(middle)) if len(record.plan.rates) == 1 else ("Latency over rate", "")
    sections = [
        ("The modes at the same load", _table(report.headline(middle))),
        (over[0], _chart(over[1]) or _grid(latency(record, summaries))),
        ("Saturation", _chart(saturation(record)) + _table(questions.saturation(record))),
        ("Cost of a checkout", _chart(cost(middle, questions.peer_summaries(record)))),
        ("Money", _money(middle, prices)),
        ("Recovery and mixes", _chart(recovery(record)) + _tables(questions.mixes(record), questions.kills(record))),
        ("Backlog and cold start", _tables(questions.backlogs(record), questions.cold_starts(record))),
        ("Peers", _table(questions.peers(record))),
        ("All figures", _tables(*report.tables(record))),
        ("Method", _method(record)),
    ]
    shown = [(title, body) for title, body in sections if body]
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title, _ in shown)
    parts = "".join(f'<section id="{_anchor(title)}"><h2>{title}</h2>{body}</section>' for title, body in shown)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>The modes, measured</title>'
        f"<style>:root {{ color-scheme: light dark; --page: #f6f7f9; {charts.variables(dark=False)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ --page: #10151c; {charts.variables(dark=True)} }} }}\n"
        f"{STYLE}</style></head><body><main><h1>The modes, measured</h1>"
        f'<p class="soft">{_inline(report.about(record))} Made by <code>{escape(record.command)}</code>.</p>'
        f"{_checks(findings)}{_tables(report.missing(record))}<nav>{links}</nav>{parts}</main></body></html>\n"
    )


def latency_at(modes: Sequence[Summary]) -> str:
    """The latency of each mode at one rate."""
    rows = [
        Dots(_starred(one.mode), [(of.median, of.low, of.high) for of in (one.p50, one.p99) if of.high < LATE])
        for one in modes
    ]
    return charts.dots("Latency, ms", rows, "ms", ("p50", "p99")) if rows else ""


def latency(record: Record, summaries: Sequence[Summary]) -> list[tuple[str, str]]:
    """A chart for each transport: p50 and p99 of each style over the rate, up to the highest that was tried."""
    found: dict[str, list[Line]] = {}
    for mode in sorted(record.plan.modes, key=lambda mode: mode.rpartition("-")[2]):
        style = mode.rpartition("-")[2]
        for name, dashed in (("p50", False), ("p99", True)):
            if points := sorted({**_tried(record, mode, name), **_steady(summaries, mode, name)}.items()):
                band = [(rate, one.median, one.low, one.high) for rate, one in points]
                line = Line(f"{style} {name}", band, COLOURS[style], dashed)
                found.setdefault(MODES[mode].substrate, []).append(line)
    every = [line for series in found.values() for line in series]
    return [
        (
            report.CARRIERS[substrate],
            charts.lines(f"Latency over rate, {SUBSTRATE_NAMES[substrate]}", series, "orders/s", "ms", every),
        )
        for substrate, series in found.items()
    ]


def saturation(record: Record) -> str:
    """The highest rates that held."""
    rows = []
    for mode, runs in questions.of_part(record, SATURATION).items():
        best = questions.highest(runs)
        rows.append(Bar(_starred(mode), [best.median], best.low, best.high, muted=_emulated(mode)))
    return charts.bars("The highest rate that holds, orders/s", rows, "orders/s") if rows else ""


def cost(modes: Sequence[Summary], peers: Sequence[Summary]) -> str:
    """CPU of a checkout by who uses it."""
    rows = [
        Bar(_starred(one.mode), _shares(one), one.cpu.low, one.cpu.high, muted=one in peers) for one in (*modes, *peers)
    ]
    return charts.bars("CPU of a checkout, ms", rows, "ms", STACK) if rows else ""


def _shares(one: Summary) -> list[float]:
    """What each part uses of the median of all: the medians of the parts do not add up to it."""
    medians = [*(one.parts[name].cpu for name in SERVICES), one.databases.median, one.carrier.median]
    return [each * one.cpu.median / (sum(medians) or 1.0) for each in medians]


def recovery(record: Record) -> str:
    """How long orders were slower than normal after a service had come back."""
    rows = []
    for mode, runs in questions.of_part(record, DEAD_SERVICE).items():
        one = spread(runs, lambda run: run.figures["recovery_seconds"])
        rows.append(Bar(mode, [one.median], one.low, one.high))
    return charts.bars("Seconds until orders are normal after a service was dead", rows, "s") if rows else ""


def _emulated(mode: str) -> bool:
    return mode in MODES and MODES[mode].substrate in questions.EMULATED


def _starred(mode: str) -> str:
    """The name of a mode in a chart, marked if its carrier is emulated."""
    return mode + (" *" if _emulated(mode) else "")


def _steady(summaries: Sequence[Summary], mode: str, name: str) -> dict[float, Spread]:
    of = {one.offered: getattr(one, name) for one in summaries if one.mode == mode}
    return {rate: spread for rate, spread in of.items() if spread.median < LATE}


def _tried(record: Record, mode: str, name: str) -> dict[float, Spread]:
    """The rates of the searches, as far as orders ended there."""
    steps = [step for run in questions.of_part(record, SATURATION).get(mode, []) for step in run.steps]
    rates = dict.fromkeys(step.offered for step in steps)
    values = {rate: [getattr(step.seen, name) for step in steps if step.offered == rate] for rate in rates}
    return {rate: of_values(of) for rate, of in values.items() if max(of) < LATE}


def _money(summaries: Sequence[Summary], prices: Prices) -> str:
    return _tables(money.table(summaries, prices), money.sources(prices)) if summaries else ""


def _method(record: Record) -> str:
    flags = (
        "Modes marked <em>emulated</em> (* in charts) run over a development server or an emulator: their throughput "
        "and the carrier's CPU say little about the real service; compare the services' and databases' CPU."
    )
    return f"<p>{_inline(report.method(record))}</p><p>{flags}</p>" + _tables(
        report.settings(record), report.carriers(summarize(record)), report.discarded(record)
    )


def _checks(findings: Sequence[str]) -> str:
    if not findings:
        return '<div class="card none"><h3>The bench\'s own checks found nothing</h3></div>'
    items = "".join(f"<li>{escape(one)}</li>" for one in findings)
    return f'<div class="card found"><h3>The bench\'s own checks found:</h3><ul>{items}</ul></div>'


def _grid(of: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f'<div class="card"><h3>{escape(title)}</h3>{svg}</div>' for title, svg in of)
    return f'<div class="grid">{cells}</div>' if cells else ""


def _chart(svg: str) -> str:
    note = f'<p class="soft">{STAR}</p>' if " *<" in svg else ""
    return f'<div class="card wide">{svg}{note}</div><br>' if svg else ""


def _tables(*of: Table) -> str:
    return "".join(f"<h3>{escape(table.title)}</h3>{_table(table)}<br>" for table in of if table.rows)


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in table.head)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return f'<div class="card"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    words = ' class="words"' if len(text) > WORDS and not text[0].isdigit() else ""
    return f"<td{words}>{_inline(text)}</td>"


def _inline(text: str) -> str:
    """Text with code in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")

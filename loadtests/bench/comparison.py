"""`python -m loadtests.bench.comparison FILE`: publish a full bench as docs/comparison.md and in README.md.

FILE is the raw.json of a bench. The command copies it to docs/results/comparison.json and writes from it the page, the
picture (light and dark), and the marked section of README.md; a test holds all of them against the data. A bench that
is not whole, or in which its own checks found something, is not published; one with few runs, or on a machine that was
not quiet, says so in its first sentence.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from loadtests.bench import charts, page, questions, report, rules
from loadtests.bench.checks import findings
from loadtests.bench.ease import Ease, published
from loadtests.bench.money import Prices, read_prices, sources
from loadtests.bench.money import table as money
from loadtests.bench.plan import DEFAULTS, LEAST_RUNS
from loadtests.bench.publish import rewritten
from loadtests.bench.record import Record
from loadtests.bench.storage import BadRecord, read
from loadtests.bench.summary import confidence, summarize
from loadtests.bench.tables import Table, ranged
from loadtests.bench.tables import latency as milliseconds
from quartet_stack.layout import REPOSITORY

DATA: Final = REPOSITORY / "docs" / "results" / "comparison.json"
PAGE: Final = REPOSITORY / "docs" / "comparison.md"
README: Final = REPOSITORY / "README.md"
PICTURES: Final = {theme: DATA.with_name(f"comparison-{theme}.svg") for theme in ("light", "dark")}
MARK: Final = "comparison"
FOREIGN_MAX: Final = float(DEFAULTS["FOREIGN_MAX"])
NOTE: Final = f"\\{page.STAR}"
"""What the star in the picture means; escaped, for it begins a line."""
THREATS: Final = """
- **One machine.** Load generator, services, databases and carrier share its cores. Ratios carry over, figures do not.
- **Emulators.** Temporal's development server, MiniStack and Google's emulator are not what runs in production. Their
  modes are marked; compare what the services and databases use, not rates. A full bench also has
  `temporal-orchestration` over Temporal's server on PostgreSQL, among the peers.
- **Messages are not all that travels.** Under orchestration over Temporal, commands and their outcomes are activities
  of the server, which the columns of messages leave out.
- **Durability differs by carrier** (the table of carriers says how), though no order depends on it: the outboxes do.
- **Our own code.** The modes were tuned for longer than the peers, which are written as their documentation advises and
  no further. They do the least database work of a checkout; the modes also keep a journal and an outbox. A peer that
  its authors would write differently is a bug: report it.
- **Good orders, small ones, a uniform catalogue.** The mixes say what refusals, a slow provider and a dead service
  change. Hot SKUs are not in this bench (`make load SHAPE=flash-sale`).
- **Short runs.** Minutes, not days: no compaction, no bloat, no growth of histories.
- **Few runs.** Intervals of five runs or fewer are their range.
"""


def files(record: Record, prices: Prices, ease: Ease, readme: str) -> dict[Path, str]:
    """Everything that is generated from a record, by path. Pure."""
    picture = overview(record)
    return {
        PAGE: text(record, prices, ease),
        README: rewritten(readme, {"figures": headline(record)}, MARK),
        **{path: charts.themed(picture, theme == "dark") + "\n" for theme, path in PICTURES.items()},
    }


def overview(record: Record) -> str:
    """The one picture: CPU of a checkout by who uses it, in every mode."""
    middle = [one for one in summarize(record) if one.offered == record.plan.middle]
    return page.cost(middle, questions.peer_summaries(record))


def headline(record: Record) -> str:
    """The section of README.md: the picture and one table."""
    light, dark = (PICTURES[theme].relative_to(REPOSITORY) for theme in ("light", "dark"))
    warned = notice(record)
    return "\n".join(
        [
            *([warned, ""] if warned else []),
            "<picture>",
            f'  <source media="(prefers-color-scheme: dark)" srcset="{dark}">',
            f'  <img alt="CPU of a checkout in each mode and by other means" src="{light}">',
            "</picture>",
            "",
            NOTE,
            "",
            _explained(record),
            "",
            short(record).markdown(),
        ]
    )


def _explained(record: Record) -> str:
    """What the picture and the table of README.md show."""
    plan = record.plan
    searched = questions.saturation(record).rows
    limit = f" The highest rate is the one with p99 under {plan.objective:g} ms." if searched else ""
    pale = " Pale bars are [other ways to do the same work](docs/benchmark.md#peers)." if plan.peers else ""
    return (
        f"At {plan.middle:g} orders/s: medians of {plan.runs} runs of each mode, in brackets their intervals; CPU and "
        f"messages are those of one completed order.{limit}{pale}"
    )


def notice(record: Record) -> str:
    """What a reader has to know first about a bench that is not a full one, or that was disturbed; else nothing."""
    plan, kept = record.plan, [run.disturbance for run in record.runs if run.disturbance]
    foreign = median(one.foreign for one in kept) if kept else 0.0
    said = []
    if plan.runs < LEAST_RUNS:
        sure = f"{confidence(plan.runs):.0%}"
        said.append(
            f"**A short look, not a full bench**: {plan.runs} runs of each mode. An interval holds the true median "
            f"with a confidence of {sure} only, and so do the answers that rest on it."
        )
    if foreign > FOREIGN_MAX:
        said.append(
            f"**The machine was not quiet**: in the middle run, other programs used {foreign:.0f} % of its CPU."
        )
    return " ".join(said)


def short(record: Record) -> Table:
    """The table of README.md: of each mode what a reader asks first."""
    middle = [one for one in summarize(record) if one.offered == record.plan.middle]
    best = {row[0]: row[2] for row in questions.saturation(record).rows}
    highest = ["highest rate that holds, orders/s"] if best else []
    head = ["mode", "p50 ms", "p99 ms", "CPU ms", "messages", *highest]
    rows = [
        [
            questions.flagged(one.mode),
            *(ranged(of, milliseconds) for of in (one.p50, one.p99)),
            ranged(one.cpu),
            ranged(one.messages),
            *([best.get(questions.flagged(one.mode), "")] if best else []),
        ]
        for one in middle
    ]
    return Table(f"At {record.plan.middle:g} orders/s", head, rows)


def text(record: Record, prices: Prices, ease: Ease) -> str:
    """The page."""
    summaries = summarize(record)
    middle = [one for one in summaries if one.offered == record.plan.middle]
    light = PICTURES["light"].relative_to(PAGE.parent)
    parts = [
        "# The comparison",
        *filter(None, [notice(record)]),
        report.about(record),
        f"Made by `{record.command}`; `python -m loadtests.bench.comparison` wrote this page from "
        f"[the raw data]({DATA.relative_to(PAGE.parent)}).",
        f"![CPU of a checkout in each mode and by other means]({light})",
        NOTE,
        "## Which should I choose?",
        f"Each rule rests on the figures that it names, and holds for this load on this machine; `{record.command}` "
        "shows whether it holds on yours." + ("" if len(record.plan.rates) > 1 else " No other rate was measured."),
        _list(rules.rules(record)),
        "## What is commonly believed, and what was measured",
        _list(rules.beliefs(record)),
    ]
    tables = [
        report.headline(summaries),
        *([report.missing(record)] if record.missing else []),
        *questions.tables(record),
        report.cpu(middle),
        report.work(middle),
        money(middle, prices),
        sources(prices),
        report.settings(record),
        report.carriers(summaries),
        report.discarded(record),
    ]
    for table in tables:
        parts += [f"## {table.title}", table.markdown() if table.rows else "None."]
    parts += ["## Ease of change", ease.about]
    for table in ease.tables:
        parts += [f"### {table.title}", table.markdown()]
    parts += ["## The method", report.method(record), "## Threats to validity", THREATS.strip()]
    return "\n\n".join(parts) + "\n"


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {one}" for one in sentences) or "The figures say nothing."


def sound(source: Path) -> Record:
    """Read a record in which the bench's own checks find nothing.

    Raises:
        BadRecord: They find something, or there is no record.
    """
    record = read(source)
    if found := findings(record):
        raise BadRecord(f"{source} is not published, for its own checks found: {'; '.join(found)}")
    return record


def main(arguments: Sequence[str]) -> int:
    """Publish a file; returns the exit status, 2 if it cannot be published: then nothing has changed."""
    if len(arguments) != 1:
        print("usage: python -m loadtests.bench.comparison FILE (the raw.json of a bench)", file=sys.stderr)
        return 2
    source = Path(arguments[0])
    try:
        record = sound(source)
        made = files(record, read_prices(), published(), README.read_text())
        raw = source.read_bytes()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.write_bytes(raw)
    for path, content in made.items():
        path.write_text(content)
    print("published; if docs/comparison.md is new, list it in docs/README.md and mkdocs.yml")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

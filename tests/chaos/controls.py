"""Every known bug in a running stack: each plant has to be found in each mode.

python -m tests.chaos.controls [MODES=sns-sqs,pubsub-orchestration PLANTS=all FOLDER=reports/controls in the
environment]

Each control is `make chaos` over a copy of the tree with the bug, under the settings that the plant names (`live`), and
takes one to three minutes. Its result is a line in FOLDER/controls.jsonl; one that found the bug is not repeated, so
the same command resumes an interrupted run. Exit status 0 if every bug was found in every mode, 1 if one was not, 3 if
a run could not show it, 2 for bad input. The modes by default have brokers that lose messages when they are killed,
which some of the bugs need.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from loadtests.bench.tables import Table
from tests.chaos.control import Finding, controlled
from tests.chaos.model import Verdict
from tests.chaos.plants import plants
from tests.chaos.settings import chosen, modes_of, names_in

USUAL: Final = "sns-sqs,pubsub-orchestration"
ALL: Final = "all"
FILE: Final = "controls.jsonl"


def main() -> int:
    """Run what is missing, and print all; returns the exit status."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    try:
        modes = modes_of(os.environ.get("MODES") or USUAL)
        wanted = os.environ.get("PLANTS") or ALL
        names = tuple(plants()) if wanted == ALL else chosen("PLANTS", names_in(wanted), plants(), ALL)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    folder = Path(os.environ.get("FOLDER", "reports/controls")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / FILE
    known = read(record)
    todo = missing(known, names, modes)
    for number, (name, mode) in enumerate(todo, 1):
        console.print(f"control {number} of {len(todo)}: {name} in {mode}", markup=False)
        # a folder for each attempt: only the journal of this one is judged
        reports = folder / f"{name}-{mode}-{len(known)}"
        found = controlled(name, {**os.environ, "MODES": mode}, reports, console)
        known += found or [Finding(name, mode, Verdict.UNKNOWN, "the run wrote no journal")]
        with record.open("a") as lines:
            lines.write("".join(json.dumps(asdict(one)) + "\n" for one in known[-max(1, len(found)) :]))
    return judge(known, names, modes, console)


def read(record: Path) -> list[Finding]:
    """Read the findings of earlier runs, without a last line that was cut off by an interruption."""
    findings: list[Finding] = []
    for line in record.read_text().splitlines() if record.exists() else ():
        with suppress(ValueError, TypeError, KeyError):
            one = json.loads(line)
            findings.append(Finding(**{**one, "verdict": Verdict(one["verdict"])}))
    return findings


def missing(known: Sequence[Finding], names: Sequence[str], modes: Sequence[str]) -> list[tuple[str, str]]:
    """The (plant, mode) that no control has found yet."""
    found = {(one.plant, one.mode) for one in known if one.verdict is Verdict.TRUE}
    return [(name, mode) for name in names for mode in modes if (name, mode) not in found]


def by_plant(known: Sequence[Finding]) -> Table:
    """A row for each plant: in each mode by what it was found, of the last control of each."""
    last = {(one.plant, one.mode): how(one) for one in known}
    modes = list(dict.fromkeys(one.mode for one in known))
    rows = [
        (f"`{name}`", *(last.get((name, mode), "–") for mode in modes)) for name in sorted({key[0] for key in last})
    ]
    return Table("known bugs in a running stack", ("plant", *(f"`{mode}`" for mode in modes)), rows)


def how(finding: Finding) -> str:
    """The check that found the bug, with the invariants that the auditor saw violated."""
    if finding.verdict is not Verdict.TRUE:
        return "not found" if finding.verdict is Verdict.FALSE else "unknown"
    check, _, seen = finding.detail.removeprefix("found by ").partition(": ")
    violated = seen.partition("invariants violated: ")[2].partition(";")[0]
    numbers = ", ".join(one.split()[0] for one in violated.split(", ")) if violated else ""
    return f"{check}: {numbers}" if numbers else check


def judge(known: Sequence[Finding], names: Sequence[str], modes: Sequence[str], console: Console) -> int:
    """Print the last finding of each plant in each mode; returns the exit status."""
    last = {(one.plant, one.mode): one for one in known}
    table = Grid("plant", "mode", "found", "how", title="known bugs in a running stack")
    verdicts = []
    for name in names:
        for mode in modes:
            one = last.get((name, mode), Finding(name, mode, Verdict.UNKNOWN, "not run"))
            verdicts.append(one.verdict)
            table.add_row(name, mode, str(one.verdict), escape(one.detail))
    console.print(table)
    if Verdict.FALSE in verdicts:
        return 1
    return 3 if Verdict.UNKNOWN in verdicts or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())

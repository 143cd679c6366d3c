"""`python -m tests.chaos.publish FOLDER...`: publish runs of `make chaos` on the page docs/reliability.md.

Each FOLDER is that of a run, with one mode or several, that of `python -m tests.chaos.controls`, or that of
`python -m tests.chaos.recovery`. The command adds the runs to the data of the tables, docs/results/chaos.json
(`--anew`: replaces them), and the controls, the last of each, to docs/results/controls.json; it takes the kills as
those in docs/results/recovery.json, and rewrites the page's marked sections. A run without an audit is not published,
and the command says so. A test compares the page with the data.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.bench.publish import rewritten
from loadtests.bench.tables import Table
from sagakit.modes import MODES
from tests.chaos import controls, recovery
from tests.chaos.control import Finding
from tests.chaos.controls import by_plant
from tests.chaos.journal import FILE
from tests.chaos.kills import Kill
from tests.chaos.model import Verdict
from tests.chaos.recovery import by_service

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DATA: Final = REPOSITORY / "docs" / "results" / "chaos.json"
CONTROLS: Final = DATA.with_name("controls.json")
KILLS: Final = DATA.with_name("recovery.json")
PAGE: Final = REPOSITORY / "docs" / "reliability.md"
MARK: Final = "chaos"
USAGE: Final = (
    "usage: python -m tests.chaos.publish [--anew] FOLDER... (each with the journal.json of a run, or of several)"
)
RULE_OF_THREE: Final = 3.0
"""Of n orders without a fault, the share with one is below 3/n, with a confidence of 95 %."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run in one mode, natively or in containers (`stack`: native or docker).

    `faults`: how often each fired and was felt; `not_true`: its checks that were not true.
    """

    start: str
    mode: str
    seed: int
    orders: int
    violations: Mapping[str, int]
    faults: Mapping[str, Mapping[str, int]]
    not_true: Mapping[str, str]
    verdict: str
    stack: str = "native"

    @property
    def where(self) -> str:
        """The mode, and that it ran in containers."""
        return self.mode if self.stack == "native" else f"{self.mode}, in containers"


def run_of(journal: Mapping[str, Any]) -> Run | None:
    """The run that a journal describes; None if there was no audit."""
    ours = journal["quartet"]
    if ours["audit"] is None:
        return None
    return Run(
        start=journal["start"],
        mode=ours["mode"],
        seed=ours["seed"],
        orders=ours["audit"]["orders"],
        violations=ours["audit"]["violations"],
        faults=ours["counts"],
        not_true={one["name"]: one["verdict"] for one in ours["checks"] if one["verdict"] != "true"},
        verdict=ours["verdict"],
        stack=ours["settings"]["stack"]["STACK"],
    )


def sections(runs: Sequence[Run], findings: Sequence[Finding], kills: Sequence[Kill]) -> dict[str, str]:
    """Write the text of every section that shows these runs, controls and kills, by section name. Pure."""
    tables = {
        "modes": by_mode(runs),
        "faults": by_fault(runs),
        "plants": by_plant(findings),
        "recovery": by_service(kills),
    }
    return {name: table.markdown() for name, table in tables.items()}


def by_mode(runs: Sequence[Run]) -> Table:
    """A row for each mode, natively and in containers: runs, orders, violations, other checks that were not true."""
    head = ("mode", "runs", "seeds", "faults", "orders", "violations", "below, of all orders", "checks not true")
    rows = []
    for where in _wheres(runs):
        here = [run for run in runs if run.where == where]
        orders = sum(run.orders for run in here)
        violations = sum(sum(run.violations.values()) for run in here)
        others = Counter(name for run in here for name in run.not_true)
        fired = sum(one["fired"] for run in here for one in run.faults.values())
        rows.append(
            (
                "`{}`{}{}".format(*where.partition(",")),
                str(len(here)),
                _seeds(here),
                str(fired),
                f"{orders:,}",
                str(violations),
                f"{100 * RULE_OF_THREE / orders:.2g} %" if orders and not violations else "–",
                ", ".join(f"{name} ({number})" for name, number in sorted(others.items())) or "none",
            )
        )
    return Table("runs of make chaos", head, rows)


def by_fault(runs: Sequence[Run]) -> Table:
    """A row for each fault: in each mode how often it fired, and how often it was not felt."""
    modes = _modes(runs)
    rows = []
    for fault in sorted({name for run in runs for name in run.faults}):
        cells = []
        for mode in modes:
            counts = [run.faults[fault] for run in runs if run.mode == mode and fault in run.faults]
            fired, felt = (sum(one[name] for one in counts) for name in ("fired", "felt"))
            cells.append("–" if not fired else str(fired) if felt == fired else f"{fired} ({fired - felt} not felt)")
        rows.append((f"`{fault}`", *cells))
    return Table("faults, by mode", ("fault", *modes), rows)


def read(data: Path) -> list[Run]:
    """The runs that are published, the oldest first."""
    return [Run(**one) for one in json.loads(data.read_text())] if data.exists() else []


def read_controls(data: Path) -> list[Finding]:
    """The controls that are published."""
    found = json.loads(data.read_text()) if data.exists() else []
    return [Finding(**{**one, "verdict": Verdict(one["verdict"])}) for one in found]


def read_kills(data: Path) -> list[Kill]:
    """The kills that are published."""
    return [Kill(**one) for one in json.loads(data.read_text())] if data.exists() else []


def main(arguments: Sequence[str]) -> int:
    """Publish; exit status 2 if a folder holds no journal or the page lacks a section, and then nothing has changed."""
    folders = [Path(one) for one in arguments if one != "--anew"]
    runs = {(run.start, run.mode): run for run in ([] if "--anew" in arguments else read(DATA))}
    findings, kills = read_controls(CONTROLS), read_kills(KILLS)
    try:
        if not folders:
            raise ValueError(USAGE)
        for folder in folders:
            if (folder / controls.FILE).exists():
                findings += controls.read(folder / controls.FILE)
                continue
            if (folder / recovery.FILE).exists():
                kills = recovery.read(folder / recovery.FILE)
                continue
            journals = sorted(folder.glob(f"**/{FILE}"))
            if not journals:
                raise ValueError(f"{folder}: there is no {FILE} in it")
            for path in journals:
                run = run_of(json.loads(path.read_text()))
                if run is None:
                    print(f"{path}: not published: the run broke off before its audit", file=sys.stderr)
                else:
                    runs[run.start, run.mode] = run
        published = sorted(runs.values(), key=lambda run: run.start)
        findings = list({(one.plant, one.mode): one for one in findings}.values())
        page = rewritten(PAGE.read_text(), sections(published, findings, kills), MARK)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    DATA.write_text(json.dumps([asdict(run) for run in published], indent=1) + "\n")
    CONTROLS.write_text(json.dumps([asdict(one) for one in findings], indent=1) + "\n")
    KILLS.write_text(json.dumps([asdict(one) for one in kills]).replace("}, ", "},\n ") + "\n")
    PAGE.write_text(page)
    return 0


def _modes(runs: Sequence[Run]) -> list[str]:
    modes = {run.mode for run in runs}
    return [mode for mode in MODES if mode in modes]


def _wheres(runs: Sequence[Run]) -> list[str]:
    wheres = {(run.stack != "native", list(MODES).index(run.mode), run.where) for run in runs}
    return [where for *_, where in sorted(wheres)]


def _seeds(runs: Sequence[Run]) -> str:
    return ", ".join(map(str, sorted({run.seed for run in runs})))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make simulate`: run schedules under the simulator on all cores, and count what they reached.

Settings: SCHEDULES (10,000) of each STYLE (both, choreography, orchestration), SEED (1), JOBS (all cores). Exit status
0 if nothing was found; 1 if a schedule broke an invariant: the smallest such schedule is printed as a call that
replays it; 2 for a wrong setting; 3 if nothing was found, but something that should be explored was never reached.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.simulation.campaign import Tally, campaign, parts_of
from tests.simulation.design import STYLES, Design
from tests.simulation.reached import by_heading, missing
from tests.simulation.schedule import explain, run

REPORTS: Final = Path("reports")
BOTH: Final = "both"
ENOUGH: Final = 1_000
"""The number of schedules that reaches everything that is to be explored."""
STRIDE: Final = 1_000_000_000
"""Seeds between one SEED and the next."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run: `schedules` of each style; with `seed` 1 they begin with those of the test suite."""

    schedules: int
    style: str
    seed: int
    jobs: int

    @property
    def styles(self) -> tuple[str, ...]:
        return STYLES if self.style == BOTH else (self.style,)

    @property
    def first(self) -> int:
        """The seed of the first schedule."""
        return (self.seed - 1) * STRIDE

    @property
    def command(self) -> str:
        """The command that repeats this run."""
        return f"make simulate SCHEDULES={self.schedules} STYLE={self.style} SEED={self.seed}"


def settings_of(environ: Mapping[str, str]) -> Settings:
    """Read the settings; ValueError names the variable that is wrong, and what is valid."""
    style = (environ.get("STYLE") or BOTH).lower()
    if style not in (BOTH, *STYLES):
        raise ValueError(f"STYLE={style!r} is unknown; valid are: {', '.join((BOTH, *STYLES))}")
    cores = len(os.sched_getaffinity(0))
    return Settings(
        _number(environ, "SCHEDULES", 10_000, STRIDE),
        style,
        _number(environ, "SEED", 1, 1_000_000),
        _number(environ, "JOBS", cores, 1_024),
    )


def _number(environ: Mapping[str, str], name: str, usual: int, most: int) -> int:
    text = environ.get(name) or str(usual)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        raise ValueError(f"{name}={text!r} must be a whole number from 1 to {most}")
    return int(text)


def main() -> int:
    try:
        chosen = settings_of(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(f"{chosen.command}: {chosen.schedules} of each style, {chosen.jobs} processes")
    began = time.monotonic()
    tally = _measured(chosen, console)
    seconds = time.monotonic() - began
    failure = None
    if tally.failed:
        style, seed = tally.failed[0]
        console.print(f"seed {seed} under {style} fails; looking for the smallest schedule that does")
        failure = explain(Design(style), seed, run(Design(style), seed))
    report = report_of(chosen, tally, seconds, failure)
    folder = REPORTS / f"simulate-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    _show(console, report, folder)
    return int(report["exit"])


def _measured(chosen: Settings, console: Console) -> Tally:
    parts = parts_of(chosen.styles, chosen.first, chosen.schedules)
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("schedules, {task.fields[rate]}/s"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("", total=sum(part.count for part in parts), rate="?")
        began = time.monotonic()

        def ended(tally: Tally) -> None:
            done = tally.schedules.total()
            progress.update(bar, completed=done, rate=f"{done / (time.monotonic() - began):.0f}")

        return campaign(parts, min(chosen.jobs, len(parts)), ended)


def report_of(chosen: Settings, tally: Tally, seconds: float, failure: str | None) -> dict[str, Any]:
    """The contents of report.json; `reached`: in how many schedules, by heading."""
    never = missing(tally.seen) if chosen.schedules >= ENOUGH and failure is None else []
    return {
        "command": chosen.command,
        "settings": asdict(chosen),
        "verdict": "false" if failure else "unknown" if never else "true",
        "exit": 1 if failure else 3 if never else 0,
        "schedules": dict(tally.schedules),
        "steps": tally.steps,
        "seconds": round(seconds, 1),
        "per_second": round(tally.schedules.total() / seconds, 1),
        "found": failure,
        "never_reached": never,
        "reached": by_heading(tally.seen),
    }


def _show(console: Console, report: Mapping[str, Any], folder: Path) -> None:
    total = sum(report["schedules"].values())
    table = Table("", "reached", "schedules", "share", title="what was reached")
    for heading, counts in report["reached"].items():
        for what, count in counts.items():
            table.add_row(heading, what.removesuffix(" ok"), f"{count}", f"{count / max(total, 1):.1%}")
            heading = ""
        table.add_section()
    console.print(table)
    console.print(f"{total} schedules, {report['steps']} steps, {report['seconds']} s, {report['per_second']}/s")
    if report["found"]:
        console.print(report["found"], markup=False, soft_wrap=True)
    elif report["never_reached"]:
        console.print(f"nothing was found, but this was never reached: {'; '.join(report['never_reached'])}")
    else:
        console.print("nothing was found")
    console.print(f"report: {folder / 'report.json'}")


if __name__ == "__main__":
    sys.exit(main())

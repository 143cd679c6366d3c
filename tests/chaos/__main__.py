"""`make chaos`: break a stack under load, heal it, and prove that nothing is lost. docs/reliability.md explains it.

Exit status 0 if every fault was felt and every check is true, 1 if a check is false, 3 if one is unknown, and 2 for
bad input.
With PLANT= it is 0 only if the audit, or the check of how orders ended, finds the bug in every mode.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from quartet_stack.settings import stack_environment
from tests.chaos import experiment as experiments
from tests.chaos import journal, report
from tests.chaos.engine import Outcome, Trial, run
from tests.chaos.experiment import Experiment
from tests.chaos.model import Verdict
from tests.chaos.settings import Settings, read
from tests.chaos.view import STYLES, View, show

MINUTES: Final = 8
INTERRUPTED: Final = 130
STATUS: Final = {Verdict.TRUE: 0, Verdict.FALSE: 1, Verdict.UNKNOWN: 3}


def main(environ: Mapping[str, str]) -> int:
    """Run `make chaos` in each mode; returns the exit status."""
    try:
        settings = read(environ)
        experiment = experiments.load(settings.experiment) if settings.experiment else None
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    folder = settings.reports / f"chaos-{time.strftime('%Y%m%d-%H%M%S')}"
    if settings.plant:
        from tests.chaos.control import control

        return control(settings.plant, environ, folder, console)
    experiment = experiment or experiments.of_faults(settings.faults)
    modes = settings.modes or (stack_environment(settings.running)["COORDINATION_MODE"],)
    console.print(
        f"chaos: {experiment.title}, in {', '.join(modes)}: at most {MINUTES} minutes a mode,"
        f" {MINUTES * len(modes)} in all; reports in {folder}"
    )
    outcomes = []
    try:
        for mode in modes:
            outcomes.append(_one(settings, experiment, mode, folder / mode if len(modes) > 1 else folder, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print(f"interrupted: what was broken is healed; what there is of a report is in {folder}")
        return INTERRUPTED
    return _conclude(outcomes, console)


def _one(settings: Settings, experiment: Experiment, mode: str, folder: Path, console: Console) -> Outcome:
    chosen = experiment.configuration
    settings = replace(settings, replicas=int(chosen.get("replicas", settings.replicas)))
    trial = Trial(
        settings,
        experiment,
        mode,
        folder,
        float(chosen.get("rate", settings.rate_in(mode))),
        float(chosen.get("duration", settings.duration)),
        str(chosen.get("mix", settings.mix)),
    )
    if too_fast := settings.too_fast(mode, trial.rate):
        console.print(f"{mode}: {too_fast}: recovery, settled and throughput may be false for that alone", markup=False)
    view = View(console, mode)
    with view.live():
        outcome = asyncio.run(_until_told(run(trial, view)))
    if outcome.problem:
        console.print(f"{mode}: the run could not be ended: {outcome.problem}", markup=False)
    show(list(outcome.checks), mode, console)
    console.print(f"{mode}: {_report(folder)}\n{mode}: repeat it with: {settings.command(mode)}", markup=False)
    return outcome


async def _until_told(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Let SIGTERM heal and end the run, as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _report(folder: Path) -> str:
    """Say where the report is, or why there is none; the journal exists in any case."""
    try:
        return str(report.write(folder))
    except report.BadRun as error:
        return f"{folder / journal.FILE}; no report could be made of it: {error}"


def _conclude(outcomes: list[Outcome], console: Console) -> int:
    """Print the verdict of each mode; returns the exit status of the worst."""
    verdicts = [Verdict(outcome.journal["quartet"]["verdict"]) for outcome in outcomes]
    for outcome, verdict in zip(outcomes, verdicts, strict=True):
        console.print(f"[{STYLES[verdict]}]{outcome.mode}: {verdict}[/]")
    worst = next(one for one in (Verdict.FALSE, Verdict.UNKNOWN, Verdict.TRUE) if one in verdicts)
    return STATUS[worst]


if __name__ == "__main__":
    sys.exit(main(os.environ))

"""The debugging study: by what a planted bug is noticed in each mode, after how long, and how it is traced.

python -m tests.chaos.debugging [PLANTS=... MODES=... FOLDER=reports/debugging RATE=3 SECONDS=30 SEED=1
PORT_OFFSET=22000 in the environment]

For each plant and mode a copy of the tree with the bug takes a short load of every kind of order, and every source that
an engineer has is looked into. The same is done twice without a bug in that mode, under the same faults: what shows
there, too, is no symptom. One more run without a bug is judged like the others, and must show none. What was seen of a
run is a file in FOLDER/seen, which is not made again: the same command resumes an interrupted study. The diagnoses are
made from these files, and are a line each in FOLDER/debugging.jsonl. docs/debugging.md explains the procedure. Exit
status 0 if every run could be judged, 3 if not, 2 for bad input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.chaos import experiment as experiments
from tests.chaos.debugging.diagnosis import Diagnosis, diagnose
from tests.chaos.debugging.model import NONE, RECORD, read
from tests.chaos.debugging.tables import by_plant, by_source, by_style
from tests.chaos.plants import Copy, Plant, copied, planted, plants
from tests.chaos.settings import FOLDER as CHAOS
from tests.chaos.settings import chosen, modes_of, names_in

USUAL_PLANTS: Final = "hasty-completion,missing-compensation,no-inbox,stock-not-put-back,wrong-amount"
USUAL_MODES: Final = "kafka-orchestration,kafka-choreography,temporal-orchestration,temporal-choreography"
DEFAULTS: Final = {"RATE": "3", "SECONDS": "30", "SEED": "1", "PORT_OFFSET": "22000"}

MIX: Final = "good:6,sold-out:1,declined:1,undeliverable:3"
"""Every way to end that no race decides, each often enough for a control to show what is usual."""
CONTROLS: Final = 2
"""Runs without a bug that say what is usual: one alone misses what a race decides."""
WITHIN: Final = 400.0
"""Seconds that a run may take."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run to observe. `number` tells controls apart: the first ones say what is usual, the last one is judged."""

    plant: str
    mode: str
    faults: tuple[str, ...] = ()
    mix: str = MIX
    number: int = 1

    @property
    def file(self) -> str:
        """The name of the file of what was seen."""
        mix = () if self.mix == MIX else (self.mix,)
        return "-".join(("+".join((self.plant, *self.faults, *mix)), self.mode, str(self.number))) + ".json"


def main() -> int:
    """Observe what is missing, judge all, and print the tables; returns the exit status."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    try:
        modes = modes_of(os.environ.get("MODES") or USUAL_MODES)
        known = plants()
        names = chosen("PLANTS", names_in(os.environ.get("PLANTS") or USUAL_PLANTS), known)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    folder = Path(os.environ.get("FOLDER", "reports/debugging")).resolve()
    (folder / "seen").mkdir(parents=True, exist_ok=True)
    judged = planned([known[name] for name in names], modes)
    wanted = list(dict.fromkeys(one for run, controls in judged for one in (*controls, run)))
    todo = [run for run in wanted if not (folder / "seen" / run.file).exists()]
    for number, run in enumerate(todo, 1):
        console.print(f"run {number} of {len(todo)}: {run.plant} in {run.mode}", markup=False)
        observe(run, folder, console)
    found = [one for run, controls in judged if (one := _judged(run, controls, folder))]
    (folder / RECORD).write_text("".join(json.dumps(asdict(one)) + "\n" for one in found))
    for table in (by_plant(found), by_source(found), by_style(found)):
        console.print(table.drawn())
    return 0 if len(found) == len(judged) else 3


def faults_of(plant: Plant) -> tuple[str, ...]:
    """The faults under which the bug shows; a kill, which `make chaos` needs to have a fault, only if the bug does."""
    if "EXPERIMENT" in plant.live:
        faults = experiments.load(CHAOS / "experiments" / f"{plant.live['EXPERIMENT']}.yaml").faults
    else:
        faults = tuple(plant.live["FAULTS"].split(","))
    return tuple(one for one in faults if one != "kill" or "kills" in plant.needs)


def planned(plants: Sequence[Plant], modes: Sequence[str]) -> list[tuple[Run, list[Run]]]:
    """The runs to judge, each with its controls: in each mode one without a bug, and one for each plant.

    A plant has controls under its own faults, and all those without faults: what these show is usual in any case.
    """
    pairs = []
    for mode in modes:
        *usual, last = (Run(NONE, mode, number=number) for number in range(1, CONTROLS + 2))
        pairs.append((last, usual))
        for one in plants:
            run = Run(one.name, mode, faults_of(one), one.live.get("MIX", MIX))
            own = [replace(run, plant=NONE, number=number) for number in range(1, CONTROLS + 1)]
            pairs.append((run, list(dict.fromkeys((*own, *usual, last)))))
    return pairs


def observe(run: Run, folder: Path, console: Console) -> None:
    """Observe a run in a copy of the tree; a run that fails leaves no file, and the next command makes it again."""
    place: AbstractContextManager[Copy] = copied() if run.plant == NONE else planted(run.plant)
    log = folder / f"{run.file}.log"
    with place as copy, log.open("w") as output:
        about = {"MODE": run.mode, "PLANT_NAME": run.plant, "FAULTS": ",".join(run.faults), "MIX": run.mix}
        environment = {**DEFAULTS, **copy.environment(), **about, "STACK": "native"}
        words = [str(copy.python), "-m", "tests.chaos.debugging.session", str(folder / "seen" / run.file)]
        try:
            status = subprocess.run(
                words, cwd=copy.folder, env=environment, stdout=output, stderr=output, check=False, timeout=WITHIN
            ).returncode
        except subprocess.TimeoutExpired:
            status = 1
    if status:
        console.print(f"{run.plant} in {run.mode}: the run failed; see {log}", markup=False)


def _judged(run: Run, controls: Sequence[Run], folder: Path) -> Diagnosis | None:
    paths = [folder / "seen" / one.file for one in (run, *controls)]
    if not all(path.exists() for path in paths):
        return None
    seen, *usual = map(read, paths)
    return diagnose(seen, usual)


if __name__ == "__main__":
    sys.exit(main())

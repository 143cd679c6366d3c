"""The negative control: the same run over a copy of the tree with a known bug, which the checks must find."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.chaos.model import Verdict

FINDERS: Final = ("audit", "ends")
"""Only these find a bug, and those that its plant names: that a run was slow, or that something was not seen, says
nothing about it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a control in one mode: TRUE if the bug was found, UNKNOWN if it could not have been."""

    plant: str
    mode: str
    verdict: Verdict
    detail: str


def control(name: str, environ: Mapping[str, str], reports: Path, console: Console) -> int:
    """Run it; exit status 0 if the bug was found in every mode, 1 if not, 3 if that is not known, 2 for bad input."""
    from tests.chaos.plants import PlantError

    try:
        findings = controlled(name, environ, reports, console)
    except PlantError as error:
        print(error, file=sys.stderr)
        return 2
    if any(one.verdict is Verdict.FALSE for one in findings):
        return 1
    return 0 if findings and all(one.verdict is Verdict.TRUE for one in findings) else 3


def controlled(name: str, environ: Mapping[str, str], reports: Path, console: Console) -> Sequence[Finding]:
    """Run the control in each mode of MODES; without FAULTS and EXPERIMENT, under the settings of the plant itself.

    Raises PlantError for an unknown plant, and for one that does not fit the tree.
    """
    from tests.chaos.plants import plant_of, planted

    plant = plant_of(name)
    console.print(f"chaos: a control with a known bug, which must be found: {plant.bug}", markup=False)
    own = {} if environ.get("FAULTS") or environ.get("EXPERIMENT") else plant.live
    with planted(name) as copy:
        environment = {**own, **copy.environment(environ), "REPORTS": str(reports)}
        subprocess.run([str(copy.python), "-m", "tests.chaos"], cwd=copy.folder, env=environment, check=False)
    findings = []
    for path in sorted(reports.rglob("journal.json")):
        journal = json.loads(path.read_text())
        findings.append(Finding(name, journal["quartet"]["mode"], *finding(journal, (*FINDERS, *plant.finders))))
        console.print(f"{findings[-1].mode}: {name}: {findings[-1].detail}", markup=False)
    return findings


def finding(journal: Mapping[str, Any], finders: Sequence[str] = FINDERS) -> tuple[Verdict, str]:
    """Whether a run has found the bug (TRUE), and by what; UNKNOWN if it could not have."""
    checks = {one["name"]: one for one in journal["quartet"]["checks"]}
    for name in finders:
        if name in checks and checks[name]["verdict"] == Verdict.FALSE:
            return Verdict.TRUE, f"found by {name}: {checks[name]['detail']}"
    if not any(checks.get(name, {}).get("verdict") == Verdict.TRUE for name in finders):
        return (
            Verdict.UNKNOWN,
            f"not checked: {journal['quartet']['problem'] or 'no check that could find it ran'}",
        )
    return Verdict.FALSE, "NOT FOUND: every check that could find it is true"

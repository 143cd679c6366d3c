"""The negative control: the same run over a copy of the tree with a known bug, which the checks must find."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.chaos.model import Verdict

FINDERS: Final = ("audit", "ends")
"""Only these find a bug: that a run was slow, or that something was not seen, says nothing about it."""


def control(name: str, environ: Mapping[str, str], reports: Path, console: Console) -> int:
    """Run it; exit status 0 if the bug was found in every mode, 1 if not, 3 if that is not known, 2 for bad input."""
    from tests.chaos.plants import PlantError, plant_of, planted

    try:
        console.print(f"chaos: a control with a known bug, which must be found: {plant_of(name).bug}", markup=False)
        with planted(name) as copy:
            environment = {**copy.environment(environ), "REPORTS": str(reports)}
            subprocess.run([str(copy.python), "-m", "tests.chaos"], cwd=copy.folder, env=environment, check=False)
    except PlantError as error:
        print(error, file=sys.stderr)
        return 2
    journals = [json.loads(path.read_text()) for path in sorted(reports.rglob("journal.json"))]
    findings = [finding(one) for one in journals]
    for one, (_, detail) in zip(journals, findings, strict=True):
        console.print(f"{one['quartet']['mode']}: {name}: {detail}", markup=False)
    if any(verdict is Verdict.FALSE for verdict, _ in findings):
        return 1
    return 0 if findings and all(verdict is Verdict.TRUE for verdict, _ in findings) else 3


def finding(journal: Mapping[str, Any]) -> tuple[Verdict, str]:
    """Whether a run has found the bug (TRUE), and by what; UNKNOWN if it could not have."""
    checks = {one["name"]: one for one in journal["quartet"]["checks"]}
    for name in FINDERS:
        if name in checks and checks[name]["verdict"] == Verdict.FALSE:
            return Verdict.TRUE, f"found by {name}: {checks[name]['detail']}"
    if not any(checks.get(name, {}).get("verdict") == Verdict.TRUE for name in FINDERS):
        return (
            Verdict.UNKNOWN,
            f"not checked: {journal['quartet']['problem'] or 'no check that could find it ran'}",
        )
    return Verdict.FALSE, "NOT FOUND: every check that could find it is true"

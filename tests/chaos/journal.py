"""The journal of a run: `journal.json`, in the shape of Chaos Toolkit's journals, with what is ours under `quartet`."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from loadtests.outcomes import share
from tests.chaos.checks import verdict_of
from tests.chaos.evidence import Evidence
from tests.chaos.experiment import ACTIONS, Experiment
from tests.chaos.model import Check, Injection, Verdict

FILE: Final = "journal.json"
STATUSES: Final = {Verdict.TRUE: "completed", Verdict.FALSE: "failed", Verdict.UNKNOWN: "completed"}


@dataclass(frozen=True, slots=True)
class About:
    """What was run: `settings` are those of the load and of the stack, `command` repeats the run."""

    mode: str
    seed: int
    command: str
    settings: Mapping[str, Any]
    began: float


def journal(
    about: About,
    experiment: Experiment,
    evidence: Evidence | None,
    checks: Sequence[Check],
    *,
    before: bool = True,
    ended: float,
    worst: Sequence[Any] = (),
    problem: str = "",
) -> dict[str, Any]:
    """The journal as JSON values. `before`: whether the stack was steady at first; `problem`: why the run broke off."""
    verdict = verdict_of(checks)
    injections = evidence.injections if evidence else ()
    return {
        "experiment": experiment.document,
        "platform": platform.platform(),
        "node": platform.node(),
        "start": _iso(about.began),
        "end": _iso(ended),
        "duration": round(ended - about.began, 3),
        "status": "interrupted" if problem else STATUSES[verdict],
        "deviated": before and verdict is Verdict.FALSE,
        "steady_states": {
            "before": _steady(before, ()),
            "after": _steady(verdict is Verdict.TRUE, checks),
            "during": [],
        },
        "run": [_activity(one) for one in injections],
        "rollbacks": [],
        "quartet": {
            "mode": about.mode,
            "seed": about.seed,
            "command": about.command,
            "settings": dict(about.settings),
            "verdict": str(verdict),
            "problem": problem,
            "checks": [_check(one) for one in checks],
            "injections": [asdict(one) for one in injections],
            "counts": counts(injections),
            "missing": dict(evidence.missing) if evidence else {},
            "phases": asdict(evidence.phases) if evidence else {},
            "audit": _audit(evidence),
            "orders": _orders(evidence),
            "latency": _latency(evidence),
            "worst": list(worst),
        },
    }


def write(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write the journal into the folder of its run; returns the file."""
    path = folder / FILE
    path.write_text(json.dumps(document, indent=1, default=str) + "\n")
    return path


def counts(injections: Sequence[Injection]) -> dict[str, dict[str, int]]:
    """How often each fault fired, and how often it was felt."""
    counts_by_fault: dict[str, dict[str, int]] = {}
    for one in injections:
        row = counts_by_fault.setdefault(one.fault, {"fired": 0, "felt": 0})
        row["fired"] += 1
        row["felt"] += one.felt is True
    return counts_by_fault


def _check(check: Check) -> dict[str, str]:
    return {"name": check.name, "verdict": str(check.verdict), "detail": check.detail}


def _steady(met: bool, checks: Sequence[Check]) -> dict[str, Any]:
    probes = [
        {
            "activity": {"type": "probe", "name": check.name, "tolerance": True},
            "status": "succeeded",
            "output": check.verdict is Verdict.TRUE,
            "tolerance_met": check.verdict is Verdict.TRUE,
        }
        for check in checks
    ]
    return {"steady_state_met": met, "probes": probes}


def _activity(one: Injection) -> dict[str, Any]:
    func = one.fault.replace("-", "_")
    provider = {"type": "python", "module": ACTIONS, "func": func, "arguments": {"target": one.target}}
    return {
        "activity": {"type": "action", "name": f"{one.fault} {one.target}", "provider": provider},
        "start": _iso(one.began),
        "end": _iso(one.ended) if one.ended else None,
        "duration": round(one.ended - one.began, 3) if one.ended else None,
        "status": "succeeded" if one.ended else "failed",
        "output": one.detail,
    }


def _audit(evidence: Evidence | None) -> dict[str, Any] | None:
    """How many orders the auditor looked at, and how often each invariant is violated; None: there was no audit."""
    report = evidence.audit if evidence else None
    if report is None:
        return None
    violations = {str(one["number"]): one["violations"] for one in report["invariants"] if one["violations"]}
    return {"orders": sum(report["counts"]["orders"].values()), "violations": violations}


def _orders(evidence: Evidence | None) -> dict[str, dict[str, int]]:
    if evidence is None:
        return {"by_kind": {}, "by_status": {}}
    statuses = Counter(f"{one.status} {one.reason}" if one.reason else one.status for one in evidence.orders)
    return {"by_kind": dict(Counter(one.kind for one in evidence.purchases())), "by_status": dict(statuses)}


def _latency(evidence: Evidence | None) -> dict[str, dict[str, float]]:
    """Latency of good orders in ms, from the first request to the answer with the end, by the phase of arrival."""
    if evidence is None:
        return {}
    phases = evidence.phases
    spans = {
        "before": (phases.load_began, phases.faults_began),
        "during": (phases.faults_began, phases.healed),
        "after": (phases.healed, phases.load_ended),
    }
    good = [one for one in evidence.purchases() if one.kind == "good"]
    rows = {}
    for name, (start, end) in spans.items():
        here = [one for one in good if start <= one.began < end]
        times = sorted((one.answered - one.began) * 1000 for one in here if one.answered is not None)
        figures = {f"p{part}": round(share(times, part / 100), 1) for part in (50, 95, 99)} if times else {}
        rows[name] = {"orders": len(here), "unanswered": len(here) - len(times), **figures}
    return rows


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")

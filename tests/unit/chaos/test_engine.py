"""A whole run with fake faults, stack and load: phases, journal, verdict."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.history import FILE as HISTORY
from loadtests.history import read_lines
from tests.chaos import engine
from tests.chaos.engine import Outcome, Trial, run
from tests.chaos.experiment import of_faults
from tests.chaos.settings import Settings
from tests.chaos.view import View
from tests.unit.chaos.evidences import audited, violated
from tests.unit.chaos.fakes import STACK, Fake
from tests.waits import until

MODE = "kafka-choreography"


class Stage:
    """Stands in for the stack, the load and the auditor."""

    def __init__(self, patch: pytest.MonkeyPatch, faults: Mapping[str, Fake], audit: Any) -> None:
        self.ended = False
        self.down = False

        @asynccontextmanager
        async def opened(trial: Trial, chosen: Any) -> AsyncIterator[Any]:
            try:
                yield STACK
            finally:
                self.down = True

        @asynccontextmanager
        async def shopping(*arguments: Any) -> AsyncIterator["Stage"]:
            yield self

        async def nothing(*arguments: Any) -> Any:
            return ()

        async def endless(*arguments: Any) -> None:
            await asyncio.Event().wait()

        async def audited_(*arguments: Any) -> Any:
            return (None, audit) if isinstance(audit, str) else (audit, "")

        patch.setattr(engine, "BEFORE", 0.1)
        patch.setattr(engine, "AFTER", 0.1)
        patch.setattr(engine, "WARM_UP", 0.0)
        patch.setattr(engine, "CALM", 0.0)
        patch.setattr(engine, "load_fault", faults.__getitem__)
        patch.setattr(engine, "opened", opened)
        patch.setattr(engine, "shopping", shopping)
        patch.setattr(engine, "_audit", audited_)
        patch.setattr(engine, "orders_since", nothing)
        patch.setattr(engine.readiness, "watch", endless)
        patch.setattr(engine.readiness, "urls", lambda stack: {})
        patch.setattr(engine.usage, "watch", endless)
        patch.setattr(engine.usage, "calm", nothing)
        patch.setitem(engine.schedule.SECONDS, "fake", 0.05)

    async def begun(self) -> None:
        pass

    async def end(self) -> None:
        self.ended = True


async def judged(patch: pytest.MonkeyPatch, folder: Path, fault: Fake, audit: Any = None) -> tuple[Outcome, Any]:
    """The outcome and the journal of a run that asks only for what fakes can show."""
    stage = Stage(patch, {"fake": fault}, audited() if audit is None else audit)
    experiment = replace(of_faults(("fake",)), checks=("audit", "felt", "healed"))
    trial = Trial(Settings(("fake",), (MODE,), seed=7), experiment, MODE, folder, rate=10_000, duration=0.5)
    outcome = await run(trial, View(Console(quiet=True), MODE))
    assert stage.down
    return outcome, json.loads((folder / "journal.json").read_text())


async def test_a_run_in_which_all_went_well_is_true(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outcome, journal = await judged(monkeypatch, tmp_path, Fake())
    assert journal["quartet"]["verdict"] == "true", outcome.checks
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    assert journal["steady_states"]["after"]["steady_state_met"]
    assert journal["quartet"]["counts"]["fake"]["fired"] >= 2
    assert journal["quartet"]["command"] == f"make chaos FAULTS=fake MODES={MODE} DURATION=60 RATE=5 SEED=7"
    assert {one["activity"]["provider"]["func"] for one in journal["run"]} == {"fake"}
    phases = journal["quartet"]["phases"]
    assert phases["load_began"] < phases["faults_began"] < phases["healed"] < phases["load_ended"] < time.time()
    faults = [line for line in read_lines(tmp_path / HISTORY) if line["type"] == "fault"]
    assert [line["felt"] for line in faults if line["phase"] == "end"] == [True] * journal["quartet"]["counts"]["fake"][
        "felt"
    ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fake(absent="no Toxiproxy on this machine"), "no Toxiproxy on this machine"),
        (Fake(felt=False), "never felt"),
        (Fake(felt=None), "never felt"),
        (Fake(error=KeyError("pid")), "KeyError"),
    ],
    ids=["not to be had", "not felt", "not known whether felt", "at fault itself"],
)
async def test_a_fault_that_shows_nothing_makes_the_run_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: Fake, said: str
) -> None:
    outcome, journal = await judged(monkeypatch, tmp_path, fault)
    assert journal["quartet"]["verdict"] == "unknown"
    assert said in next(check.detail for check in outcome.checks if check.name == "felt")


async def test_a_failing_audit_makes_it_false(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, journal = await judged(monkeypatch, tmp_path, Fake(), violated(6))
    assert (journal["quartet"]["verdict"], journal["status"], journal["deviated"]) == ("false", "failed", True)


async def test_without_an_audit_nothing_is_proved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outcome, journal = await judged(monkeypatch, tmp_path, Fake(), "Unreachable: the order database")
    assert journal["quartet"]["verdict"] == "unknown"
    assert "the order database" in outcome.checks[0].detail


async def test_an_interrupted_run_heals_and_leaves_a_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fault = Fake(hangs=True)
    task = asyncio.create_task(judged(monkeypatch, tmp_path, fault))
    await until(lambda: fault.log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sum(one.endswith("breaks") for one in fault.log) == sum(one.endswith("heals") for one in fault.log)
    assert json.loads((tmp_path / "journal.json").read_text())["status"] == "interrupted"

"""Short runs of `make chaos`: load, faults, heal, drain, audit, report; and over known bugs, which must be found."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from loadtests.history import FILE as HISTORY
from loadtests.history import read_lines
from quartet_stack import api
from tests.chaos.control import control
from tests.chaos.engine import Trial, run
from tests.chaos.experiment import of_faults
from tests.chaos.model import Verdict
from tests.chaos.settings import read
from tests.chaos.view import View
from tests.e2e.conftest import FOLDER, OFFSET

OWN: Final = FOLDER.with_name(f"{FOLDER.name}-chaos")
MODE: Final = "kafka-choreography"
FAULTS: Final = ("kill", "broker-restart", "db-restart")
SOON: Final = ("recovery", "settled", "throughput", "usage")
"""Checks of how soon, and how much: on a machine that other tests keep busy they say nothing about the stack."""


@pytest.fixture
def chaos_stack() -> Iterator[None]:
    """One stack at a time is enough for a machine."""
    api.down(stack_dir=FOLDER, delete_data=True)
    yield
    api.down(stack_dir=OWN, delete_data=True)


@pytest.mark.timeout(420)
async def test_a_short_run_loses_nothing_and_shows_that_each_fault_was_felt(chaos_stack: None, tmp_path: Path) -> None:
    settings = replace(read({"MODES": MODE, "SEED": "7", "PORT_OFFSET": str(OFFSET)}), home=OWN)
    console = Console(highlight=False, width=160)
    trial = Trial(settings, of_faults(FAULTS), MODE, tmp_path, rate=4.0, duration=60.0)
    outcome = await run(trial, View(console, MODE))
    assert not outcome.problem
    checks = {check.name: check for check in outcome.checks}
    wrong = [check for name, check in checks.items() if name not in SOON and check.verdict is not Verdict.TRUE]
    assert not wrong, wrong
    assert all(checks[name].detail for name in SOON)
    journal = json.loads((tmp_path / "journal.json").read_text())
    assert journal["quartet"]["counts"].keys() == set(FAULTS)
    assert {"status", "start", "end", "experiment", "run", "steady_states", "rollbacks"} <= journal.keys()
    phases = [(line["phase"], line["fault"]) for line in read_lines(tmp_path / HISTORY) if line["type"] == "fault"]
    assert sorted(phases) == sorted(
        (phase, one["fault"]) for one in journal["quartet"]["injections"] for phase in ("start", "end")
    )


@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    ("plant", "faults"),
    [
        ("no-inbox", "duplicated"),
        pytest.param("missing-compensation", "kill", marks=pytest.mark.nightly),
    ],
)
def test_the_same_run_finds_a_known_bug(chaos_stack: None, tmp_path: Path, plant: str, faults: str) -> None:
    run_settings = {"MODES": MODE, "FAULTS": faults, "DURATION": "30", "SEED": "7", "PORT_OFFSET": str(OFFSET)}
    environ = {name: value for name, value in os.environ.items() if name not in ("EXPERIMENT", "REPLICAS")}
    assert control(plant, environ | run_settings, tmp_path, Console(highlight=False, width=160)) == 0

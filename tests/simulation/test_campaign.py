"""`make simulate`: its settings, its report, and that the number of processes does not matter."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation import __main__ as command
from tests.simulation.campaign import Tally, campaign, parts_of
from tests.simulation.design import STYLES
from tests.simulation.reached import REACHED, missing


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("SCHEDULES", "0", "a whole number from 1"),
        ("SCHEDULES", "many", "a whole number from 1"),
        ("SCHEDULES", "1e5", "a whole number from 1"),
        ("SEED", "-1", "a whole number from 1"),
        ("JOBS", "0", "a whole number from 1"),
        ("STYLE", "kafka", "both, choreography, orchestration"),
    ],
)
def test_a_wrong_setting_ends_with_one_line_that_names_it(
    name: str, value: str, valid: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert command.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}={value!r}")
    assert valid in line


def test_the_schedules_of_one_seed_are_not_those_of_the_next() -> None:
    first, second = (command.settings_of({"SEED": seed}) for seed in ("1", "2"))
    assert first.first + command.STRIDE == second.first
    assert first.styles == STYLES
    assert command.settings_of({"STYLE": "choreography"}).styles == ("choreography",)


def test_every_schedule_of_each_style_is_in_one_part() -> None:
    parts = parts_of(STYLES, first=100, schedules=25, chunk=10)
    seeds = Counter((part.style, seed) for part in parts for seed in range(part.first, part.first + part.count))
    assert seeds == {(style, seed): 1 for style in STYLES for seed in range(100, 125)}


def test_what_is_reached_does_not_depend_on_how_many_processes_there_are() -> None:
    parts, sums = parts_of(STYLES, first=0, schedules=40, chunk=10), list[int]()
    one, two = (campaign(parts, count, lambda tally: sums.append(tally.schedules.total())) for count in (1, 2))
    assert one == two
    assert one.schedules == dict.fromkeys(STYLES, 40)
    assert sums == [10 * count for count in range(1, 9)] * 2


def test_an_idle_run_is_no_proof(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If something never happened in any schedule, the verdict is unknown and names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULES", "1000")
    counts = Counter({what: 5 for names in REACHED.values() for what in names if what != "lose ok"})
    monkeypatch.setattr(command, "campaign", lambda parts, processes, progress: Tally(Counter(a=1), 1, counts))
    assert missing(counts) == ["lose ok"]
    assert command.main() == 3
    (report,) = tmp_path.glob("reports/simulate-*/report.json")
    results = json.loads(report.read_text())
    assert (results["verdict"], results["never_reached"], results["found"]) == ("unknown", ["lose ok"], None)
    assert results["reached"]["faults"]["lose ok"] == 0


def test_a_clean_run_says_what_was_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"SCHEDULES": "60", "STYLE": "choreography", "SEED": "3", "JOBS": "1"}.items():
        monkeypatch.setenv(name, value)
    assert command.main() == 0
    (report,) = tmp_path.glob("reports/simulate-*/report.json")
    results = json.loads(report.read_text())
    assert results["command"] == "make simulate SCHEDULES=60 STYLE=choreography SEED=3"
    assert (results["verdict"], results["exit"], results["schedules"]) == ("true", 0, {"choreography": 60})
    assert results["reached"]["acts"]["place ok"] > 50
    assert "nothing was found" in capsys.readouterr().out

"""The controls of many runs: what is still to be run, and whether every bug was found."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.control import Finding
from tests.chaos.controls import by_plant, judge, missing, read
from tests.chaos.model import Verdict
from tests.chaos.plants import plants
from tests.chaos.settings import read as settings

MODE, OTHER = "kafka-choreography", "pubsub-orchestration"
FOUND = Finding("no-inbox", MODE, Verdict.TRUE, "found by audit")
UNSEEN = Finding("no-inbox", OTHER, Verdict.FALSE, "NOT FOUND")


def test_what_was_found_is_not_run_again_and_everything_else_is(tmp_path: Path) -> None:
    record = tmp_path / "controls.jsonl"
    assert read(record) == []
    record.write_text("\n".join(json.dumps(asdict(one)) for one in (FOUND, UNSEEN, FOUND))[:-5])
    assert read(record) == [FOUND, UNSEEN]
    names = ["no-inbox", "wrong-amount"]
    assert missing([FOUND, UNSEEN], names, [MODE, OTHER]) == [
        ("no-inbox", OTHER),
        ("wrong-amount", MODE),
        ("wrong-amount", OTHER),
    ]


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ([FOUND, Finding("no-inbox", OTHER, Verdict.TRUE, "found by ends")], 0),
        ([FOUND, UNSEEN], 1),
        ([FOUND, Finding("no-inbox", OTHER, Verdict.UNKNOWN, "not checked")], 3),
        ([FOUND], 3),
        ([UNSEEN, FOUND, Finding("no-inbox", OTHER, Verdict.TRUE, "found at last")], 0),
    ],
    ids=["found in both modes", "not found", "not known", "not run", "the last control counts"],
)
def test_every_bug_has_to_be_found_in_every_mode(known: list[Finding], status: int) -> None:
    assert judge(known, ["no-inbox"], [MODE, OTHER], Console(quiet=True)) == status


@pytest.mark.parametrize(
    ("verdict", "detail", "cell"),
    [
        (Verdict.TRUE, "found by audit: invariants violated: 8 (332 times), 9 (1 times); first: x: y", "audit: 8, 9"),
        (Verdict.TRUE, "found by audit: not all is settled: 3 orders", "audit"),
        (Verdict.TRUE, "found by ends: 2 orders ended as they must not: a, b", "ends"),
        (Verdict.FALSE, "NOT FOUND", "not found"),
        (Verdict.UNKNOWN, "not checked", "unknown"),
    ],
)
def test_the_table_says_what_has_found_a_bug(verdict: Verdict, detail: str, cell: str) -> None:
    table = by_plant([UNSEEN, Finding("no-inbox", OTHER, verdict, detail), FOUND])
    assert table.head == ("plant", f"`{OTHER}`", f"`{MODE}`")
    assert table.rows == [("`no-inbox`", cell, "audit")]


@pytest.mark.parametrize("name", plants())
def test_the_settings_that_show_a_plant_are_valid(name: str) -> None:
    live = plants()[name].live
    assert live.keys() <= {"FAULTS", "EXPERIMENT", "DURATION", "MIX"}
    assert settings(live).duration <= 90

"""docs/reliability.md shows what is in docs/results/chaos.json, and nothing else."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from loadtests.bench.publish import rewritten
from tests.chaos import publish
from tests.chaos.kills import Kill
from tests.chaos.model import Verdict
from tests.chaos.plants import plants
from tests.chaos.publish import (
    CONTROLS,
    DATA,
    KILLS,
    MARK,
    PAGE,
    Run,
    by_fault,
    by_mode,
    main,
    read,
    read_controls,
    read_kills,
    run_of,
    sections,
)

NAMES = ("modes", "faults", "plants", "recovery")
TEXT = "\n".join(f"<!-- chaos:begin {name} -->\n<!-- chaos:end {name} -->" for name in NAMES)


def run(mode: str = "kafka-choreography", orders: int = 300, **more: Any) -> Run:
    values: dict[str, Any] = {"start": "2026-11-26T04:00:00", "seed": 7, "violations": {}, "not_true": {}}
    values |= {"faults": {"kill": {"fired": 3, "felt": 3}}, "verdict": "true"}
    return Run(**(values | {"mode": mode, "orders": orders} | more))


def journal(audit: Any = None) -> dict[str, Any]:
    checks = [{"name": "audit", "verdict": "true", "detail": ""}, {"name": "felt", "verdict": "unknown", "detail": ""}]
    ours = {"mode": "kafka-choreography", "seed": 7, "audit": audit, "counts": {"kill": {"fired": 2, "felt": 1}}}
    settings = {"stack": {"STACK": "docker"}}
    return {
        "start": "2026-11-26T04:00:00",
        "quartet": {**ours, "checks": checks, "verdict": "unknown", "settings": settings},
    }


def test_the_page_is_what_the_command_makes_of_the_data() -> None:
    page = PAGE.read_text()
    assert page == rewritten(page, sections(read(DATA), read_controls(CONTROLS), read_kills(KILLS)), MARK), (
        "publish it again"
    )


def test_every_plant_was_found_in_two_modes() -> None:
    found = Counter(one.plant for one in read_controls(CONTROLS) if one.verdict is Verdict.TRUE)
    assert {name for name in plants() if found[name] < 2} == set()


def test_a_mode_has_its_orders_its_violations_and_the_bound_of_what_was_not_seen() -> None:
    table = by_mode([run(), run(seed=8, orders=300, not_true={"recovery": "false"}), run("pubsub-choreography")])
    kafka, pubsub = (dict(zip(table.head, row, strict=True)) for row in table.rows)
    assert (kafka["runs"], kafka["seeds"], kafka["orders"], kafka["faults"]) == ("2", "7, 8", "600", "6")
    assert (kafka["violations"], kafka["below, of all orders"]) == ("0", "0.5 %")
    assert kafka["checks not true"] == "recovery (1)"
    assert pubsub["checks not true"] == "none"


def test_violations_are_told_and_then_there_is_no_bound() -> None:
    (row,) = by_mode([run(violations={"2": 3, "8": 1})]).rows
    assert row[5:7] == ("4", "–")


def test_a_fault_that_was_not_felt_is_told() -> None:
    table = by_fault([run(faults={"kill": {"fired": 3, "felt": 2}}), run("pubsub-choreography")])
    assert table.head == ("fault", "kafka-choreography", "pubsub-choreography")
    assert table.rows == [("`kill`", "3 (1 not felt)", "3")]


def test_a_run_without_an_audit_is_none() -> None:
    assert run_of(journal()) is None
    run = run_of(journal({"orders": 10, "violations": {}}))
    assert run is not None
    assert run.not_true == {"felt": "unknown"}
    assert run.where == "kafka-choreography, in containers"


def test_runs_in_containers_have_a_row_of_their_own_below_the_others() -> None:
    table = by_mode([run(stack="docker"), run(orders=600), run("pubsub-choreography")])
    names = [row[0] for row in table.rows]
    assert names == ["`kafka-choreography`", "`pubsub-choreography`", "`kafka-choreography`, in containers"]
    assert [row[4] for row in table.rows] == ["600", "300", "300"]


def test_runs_are_added_once_and_a_broken_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, data = tmp_path / "page.md", tmp_path / "chaos.json"
    page.write_text(TEXT)
    monkeypatch.setattr(publish, "PAGE", page)
    monkeypatch.setattr(publish, "DATA", data)
    monkeypatch.setattr(publish, "CONTROLS", tmp_path / "controls.json")
    monkeypatch.setattr(publish, "KILLS", tmp_path / "recovery.json")
    found = {"plant": "no-inbox", "mode": "kafka-choreography", "verdict": "true", "detail": "found by ends: 3 orders"}
    (tmp_path / "controls").mkdir()
    (tmp_path / "controls" / "controls.jsonl").write_text(json.dumps(found) + "\n")
    kill = Kill("kafka-choreography", "order", 1, accepted=1, completed=3, settled=2, before=20, after=20, wrong=0)
    (tmp_path / "recovery").mkdir()
    (tmp_path / "recovery" / "kills.jsonl").write_text(json.dumps(asdict(kill)) + "\n")
    for name, audit in (("whole", {"orders": 10, "violations": {}}), ("broken", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.json").write_text(json.dumps(journal(audit)))
    for _ in range(2):
        assert main([str(tmp_path / name) for name in ("whole", "broken", "controls", "recovery")]) == 0
        assert [one.orders for one in read(data)] == [10]
    assert "broke off" in capsys.readouterr().err
    assert "kafka-choreography" in page.read_text()
    assert "| `no-inbox` | ends |" in page.read_text()
    assert "| `kafka-choreography` | order | 1 | 1.00 | 3.00 | 2.00 | 20 | 20 | 0 | yes |" in page.read_text()
    assert main([str(tmp_path / "whole")]) == 0
    assert "| `no-inbox` | ends |" in page.read_text(), "controls and kills stay"
    assert "| order | 1 | 1.00 |" in page.read_text()


@pytest.mark.parametrize("arguments", [[], ["nowhere"]])
def test_without_a_journal_nothing_is_changed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = PAGE.read_text()
    assert main(arguments) == 2
    assert PAGE.read_text() == before
    assert len(capsys.readouterr().err.splitlines()) == 1

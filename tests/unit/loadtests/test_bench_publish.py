"""docs/scaling.md shows what is in docs/results/bench.json, and nothing else."""

from pathlib import Path

import pytest

from loadtests.bench import publish
from loadtests.bench.publish import DATA, PAGE, rewritten, sections
from loadtests.bench.record import read, write
from sagakit.modes import MODES
from tests.unit.loadtests.seen import record

TEXT = "a\n<!-- bench:begin x -->\nold | \\1\n<!-- bench:end x -->\nb\n"


def test_the_page_is_what_the_command_makes_of_the_data() -> None:
    assert PAGE.read_text() == rewritten(PAGE.read_text(), sections(read(DATA))), (
        f"run: python -m loadtests.bench.publish {DATA.name}"
    )


def test_the_published_bench_has_every_mode_and_every_run_went_well() -> None:
    published = read(DATA)
    assert {run.mode for run in published.runs} == set(MODES)
    assert len(published.runs) == len(MODES) * published.plan.runs
    assert all(run.fine and run.orders for run in published.runs)


def test_a_marked_section_is_replaced_and_all_else_stays() -> None:
    assert rewritten(TEXT, {"x": r"new \1"}) == TEXT.replace("old | \\1", r"new \1")


@pytest.mark.parametrize("page", ["no marks", TEXT + TEXT, TEXT.replace("end x", "end y")])
def test_a_section_that_is_not_there_exactly_once_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="sections x, not 1"):
        rewritten(page, {"x": "new"})


def test_publishing_keeps_the_raw_data_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, data, raw = tmp_path / "page.md", tmp_path / "results" / "bench.json", tmp_path / "raw.json"
    page.write_text(PAGE.read_text())
    monkeypatch.setattr(publish, "PAGE", page)
    monkeypatch.setattr(publish, "DATA", data)
    write(record(), raw)
    assert publish.main([str(raw)]) == 0
    assert data.read_bytes() == raw.read_bytes()
    assert page.read_text() == rewritten(PAGE.read_text(), sections(record()))


def test_what_is_no_record_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publish, "DATA", tmp_path / "bench.json")
    (tmp_path / "raw.json").write_text("{")
    assert publish.main([str(tmp_path / "raw.json")]) == 2
    assert publish.main([]) == 2
    assert not (tmp_path / "bench.json").exists()
    assert "is no record of a bench" in capsys.readouterr().err

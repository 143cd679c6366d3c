"""docs/scaling.md shows what is in docs/results/bench.json, and nothing else."""

from pathlib import Path

import pytest

from loadtests.bench import publish
from loadtests.bench.publish import NAMES, PAGE, data, rewritten, sections
from loadtests.bench.storage import read, write
from sagakit.modes import MODES
from tests.unit.loadtests.benches import record

TEXT = "a\n<!-- bench:begin x -->\nold | \\1\n<!-- bench:end x -->\nb\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_what_the_command_makes_of_the_data(name: str) -> None:
    page = PAGE.read_text()
    assert page == rewritten(page, sections(name, read(data(name)))), "publish it again"


@pytest.mark.parametrize("name", NAMES)
def test_a_published_bench_is_whole_and_every_run_of_it_went_well(name: str) -> None:
    published = read(data(name))
    assert len(published.runs) == len(published.plan.modes) * published.plan.runs
    assert all(run.fine and run.orders for run in published.runs)


def test_the_published_bench_has_every_mode() -> None:
    assert {run.mode for run in read(data("bench")).runs} == set(MODES)


def test_a_marked_section_is_replaced_and_all_else_stays() -> None:
    assert rewritten(TEXT, {"x": r"new \1"}) == TEXT.replace("old | \\1", r"new \1")


@pytest.mark.parametrize("page", ["no marks", TEXT + TEXT, TEXT.replace("end x", "end y")])
def test_a_section_that_is_not_there_exactly_once_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="sections 'x', not 1"):
        rewritten(page, {"x": "new"})


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the page, with no data beside it."""
    monkeypatch.setattr(publish, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    (tmp_path / "page.md").write_text(PAGE.read_text())
    write(record(), tmp_path / "raw.json")
    return tmp_path


@pytest.mark.parametrize(("name", "words"), [("bench", []), ("busy", ["busy"])])
def test_publishing_keeps_the_raw_data_as_they_are(elsewhere: Path, name: str, words: list[str]) -> None:
    assert publish.main([str(elsewhere / "raw.json"), *words]) == 0
    assert (elsewhere / "results" / f"{name}.json").read_bytes() == (elsewhere / "raw.json").read_bytes()
    assert (elsewhere / "page.md").read_text() == rewritten(PAGE.read_text(), sections(name, record()))


def test_what_cannot_be_published_changes_nothing(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (elsewhere / "page.md").read_text()
    good = str(elsewhere / "raw.json")
    (elsewhere / "bad.json").write_text("{")
    for wrong in ([], [good, "other"], [good, "busy", "busy"], [str(elsewhere / "bad.json")]):
        assert publish.main(wrong) == 2
    assert not (elsewhere / "results").exists()
    assert (elsewhere / "page.md").read_text() == page
    assert "bad.json is no record of a bench" in capsys.readouterr().err

"""docs/comparison.md, its pictures and README's section are what the published data say, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.bench import comparison
from loadtests.bench.comparison import DATA, PAGE, PICTURES, README, files, headline, notice, text
from loadtests.bench.ease import published
from loadtests.bench.money import read_prices
from loadtests.bench.record import Disturbance, Run, Usage
from loadtests.bench.rules import Figure as Of
from loadtests.bench.rules import beliefs, best, overlap, rules
from loadtests.bench.storage import read, write
from loadtests.bench.summary import Spread
from quartet_stack.settings import SERVICES
from sagakit.modes import MODES
from tests.unit.loadtests.benches import every_part, run

WHOLE = every_part()
SOME = replace(WHOLE, runs=tuple(one for one in WHOLE.runs if one.mode in MODES))


def test_what_is_published_is_what_the_command_makes_of_the_data() -> None:
    if not DATA.exists():
        assert not PAGE.exists()
        assert not any(path.exists() for path in PICTURES.values())
        assert "comparison-light.svg" not in README.read_text()
        return
    for path, content in files(read(DATA), read_prices(), published(), README.read_text()).items():
        assert path.read_text() == content, "publish it again"


def test_publishing_writes_everything_and_a_second_time_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs" / "results").mkdir(parents=True)
    for name in ("DATA", "PAGE", "README"):
        monkeypatch.setattr(comparison, name, tmp_path / getattr(comparison, name).relative_to(comparison.REPOSITORY))
    pictures = {theme: tmp_path / path.relative_to(comparison.REPOSITORY) for theme, path in PICTURES.items()}
    monkeypatch.setattr(comparison, "PICTURES", pictures)
    monkeypatch.setattr(comparison, "REPOSITORY", tmp_path)
    monkeypatch.setattr(comparison, "findings", lambda record: [])
    comparison.README.write_text(README.read_text())
    write(WHOLE, tmp_path / "raw.json")
    assert comparison.main([str(tmp_path / "raw.json")]) == 0
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 6
    assert comparison.main([str(tmp_path / "raw.json")]) == 0
    assert {path: path.read_text() for path in before} == before
    assert "Threats to validity" in comparison.PAGE.read_text()


def test_a_bench_whose_checks_found_something_is_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(SOME, runs=(run(mode="kafka-choreography", consistent=False), *SOME.runs[1:]))
    write(wrong, tmp_path / "raw.json")
    assert comparison.main([str(tmp_path / "raw.json")]) == 2
    assert "the audit is not clean" in capsys.readouterr().err
    assert comparison.main([]) == 2


def test_the_short_table_has_every_mode_and_the_picture_both_themes() -> None:
    text = headline(WHOLE)
    assert all(f"`{mode}`" in text for mode in MODES)
    assert "prefers-color-scheme: dark" in text
    assert text.count(".svg") == 2


def test_a_bench_with_few_runs_or_on_a_busy_machine_says_so_first() -> None:
    quiet = replace(WHOLE, plan=replace(WHOLE.plan, runs=5))
    assert notice(quiet) == ""
    assert "3 runs of each mode" in notice(WHOLE)
    assert "confidence of 75% only" in notice(WHOLE)
    assert headline(WHOLE).startswith("**A short look")
    busy = replace(quiet, runs=tuple(replace(one, disturbance=Disturbance(0.0, 70.0)) for one in quiet.runs))
    assert "other programs used 70 % of its CPU" in text(busy, read_prices(), published())


def test_a_rule_names_the_figures_it_rests_on_and_none_where_intervals_overlap() -> None:
    found = rules(WHOLE)
    assert any(
        one.startswith("For the lowest CPU of your own services choose `temporal-orchestration`") for one in found
    )
    (fewest,) = [one for one in found if one.startswith("For the fewest messages (`temporal-orchestration` apart, ")]
    assert "the figures prefer none" in fewest
    assert fewest.count("`temporal-orchestration`") == 1, "its activities count as no messages"


def test_a_rule_from_a_part_of_few_runs_says_how_sure_it_is_and_one_run_of_each_makes_no_rule() -> None:
    steady = [one for one in WHOLE.runs if one.part == "steady"]
    once = [one for one in WHOLE.runs if (one.part, one.number) == ("saturation", 1)]

    def highest_rate(runs: int) -> str:
        (found,) = [one for one in rules(replace(WHOLE, runs=(*steady, *once * runs))) if "highest rate" in one]
        return found

    assert "there is no rule: one run of each says from `kafka-choreography` 80.0 to " in highest_rate(1)
    assert "pubsub" not in highest_rate(1)
    assert "choose `kafka-orchestration` 200" in highest_rate(2)
    assert "no emulators. With 2 runs of each, an interval holds the true median with a confidence of 50% only." in (
        highest_rate(2)
    )
    assert highest_rate(5).endswith("no emulators.")


def test_a_rule_says_at_which_other_rates_it_holds_and_what_is_best_where_it_does_not() -> None:
    def at(rate: float, **cpu: float) -> list[Run]:
        return [
            run(
                mode=f"kafka-{style}",
                offered=rate,
                load=Usage(20.0, {**run().load.cpu, **dict.fromkeys(SERVICES, used)}),
            )
            for style, used in cpu.items()
        ]

    runs = (
        *at(5, orchestration=200, choreography=300),
        *at(2, orchestration=200, choreography=300),
        *at(8, orchestration=300, choreography=200),
    )
    plan = replace(WHOLE.plan, modes=("kafka-orchestration", "kafka-choreography"), rates=(2.0, 5.0, 8.0))
    (cheapest,) = [one for one in rules(replace(WHOLE, plan=plan, runs=runs)) if "lowest CPU" in one]
    assert "choose `kafka-orchestration`" in cheapest
    assert "It holds at 2 orders/s too. At 8 orders/s it is `kafka-choreography`" in cheapest


def test_a_belief_is_judged_by_intervals_and_not_by_medians() -> None:
    (sooner, *_, messages) = beliefs(WHOLE)
    assert "Temporal: **no**" in sooner
    assert "Kafka: yes" in sooner
    assert "not told apart" in messages
    assert "Temporal" not in messages, "activities count as no messages"


def test_the_best_figure_comes_with_those_that_cannot_be_told_from_it() -> None:
    figures = [Of("a", Spread(3, 2, 4)), Of("b", Spread(2, 1, 2.5)), Of("c", Spread(9, 8, 10))]
    assert best(figures) == (figures[1], [figures[0]])
    assert best(figures, highest_is_best=True) == (figures[2], [])
    assert overlap(Spread(1, 1, 2), Spread(2, 2, 3))
    assert not overlap(Spread(1, 1, 2), Spread(3, 2.1, 3))

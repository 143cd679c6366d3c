"""The raw data of a bench survive the file, and the report shows what is derived from them."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.bench.files import write_csv
from loadtests.bench.record import LATE, Discarded, Disturbance, Door, Log, Seen
from loadtests.bench.report import headline, page
from loadtests.bench.storage import BadRecord, read, write
from loadtests.bench.summary import Spread, summarize
from loadtests.bench.tables import Table, figure, latency, ranged
from tests.unit.loadtests.benches import record, run


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write(record(run(), run(number=2)), tmp_path / "raw.json")
    assert read(tmp_path / "raw.json") == record(run(), run(number=2))
    assert [path.name for path in tmp_path.iterdir()] == ["raw.json"]


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    write(record(), tmp_path / "raw.json")
    text = (tmp_path / "raw.json").read_text().replace('"version": 2', '"version": 0', 1)
    (tmp_path / "raw.json").write_text(text)
    with pytest.raises(BadRecord, match="version 0"):
        read(tmp_path / "raw.json")


def test_counters_are_subtracted_and_added_field_by_field() -> None:
    assert Door(5, 9, 2.5, 4, 700) - Door(1, 2, 0.5, 1, 100) == Door(4, 7, 2.0, 3, 600)
    assert run().log == Log(1_600_000, 1200)
    assert run().door.batch == 1.5


def test_a_run_is_fine_only_if_every_order_completed_and_the_audit_is_clean() -> None:
    assert run().fine
    assert not run(consistent=False).fine
    assert not run(drained=False).fine
    assert not run(seen=Seen(100, 0, 1, 4.95, 20.0, 40.0, 60.0)).fine
    assert not run(seen=Seen(100, 1, 0, 4.95, 20.0, 40.0, 60.0)).fine


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.12345, "0.123"),
        (1.5, "1.50"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12345.6, "12,346"),
        (0.9999, "1.000"),
    ],
)
def test_figures_have_as_many_digits_as_a_reader_can_use(value: float, text: str) -> None:
    assert figure(value) == text


def test_an_interval_is_shown_only_if_there_is_one() -> None:
    assert ranged(Spread(1.0, 1.0, 1.0)) == "1.00"
    assert ranged(Spread(2.0, 1.0, 4.0)) == "2.00 (1.00–4.00)"


def test_a_quantile_that_falls_on_an_order_without_an_end_is_late() -> None:
    assert ranged(Spread(20.0, 10.0, LATE), latency) == "20.0 (10.0–late)"


def test_a_table_in_markdown() -> None:
    assert Table("title", ["mode", "n"], [["a", "1"]]).markdown() == "| mode | n |\n| --- | ---: |\n| a | 1 |"


def test_the_report_says_where_it_was_measured_what_it_costs_and_what_is_full_first() -> None:
    text = page(record(), [])
    assert "2026-01-02, commit `0123456789ab`: 2 cores (a processor), 24 GB, Python 3.11.7, PostgreSQL 15.18" in text
    assert "| `kafka-choreography` | 18.0 | 2.00 | 2.00 | 2.00 | 2.00 | 8.00 | 2.00 | 0 | 4.50 |" in text
    assert "| `kafka-choreography` | the four services | 44% | order | 500 | 110 |" in text


def test_the_headline_has_every_figure_with_its_interval() -> None:
    late = run(number=2, seen=Seen(100, 2, 1, 4.85, 22.0, 40.0, LATE))
    (row,) = headline(summarize(record(run(), late, run(number=3)))).rows
    assert row[:6] == ["`kafka-choreography`", "3", "0", "300", "2", "1"]
    assert row[6:9] == ["100 (97.0–100)", "20.0 (20.0–22.0)", "60.0 (60.0–late)"]


def test_the_report_shows_findings_settings_and_discarded_runs_with_their_reason() -> None:
    text = page(replace(record(), discarded=(Discarded(run(), "the host took 5.0 %"),)), ["a mode stalls"])
    assert "- a mode stalls" in text
    assert "| `RETRY_MAX` | 5 |" in text
    assert "| Kafka | in a log of one broker" in text
    assert "| kafka-choreography at 5/s, run 1 | 5.00 | 20.0 | 60.0 | the host took 5.0 % |" in text
    assert "Made by `make bench MODES=kafka`." in text
    assert "with a confidence of 75%" in text


def test_a_run_that_counts_although_it_was_disturbed_is_shown_as_such() -> None:
    (row,) = headline(summarize(record(run(), run(number=2, disturbance=Disturbance(0.0, 30.0))))).rows
    assert row[1:3] == ["2", "1"]


def test_csv_has_a_row_for_each_attempt_and_each_headline_figure(tmp_path: Path) -> None:
    write_csv(replace(record(run(), run(number=2)), discarded=(Discarded(run(), "steal"),)), tmp_path)
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["discarded"], row["cpu_ms_per_order_kafka"]) for row in rows] == [
        ("1", "", "2.0"),
        ("2", "", "2.0"),
        ("1", "steal", "2.0"),
    ]
    with (tmp_path / "headline.csv").open() as file:
        assert {row["figure"]: row["median"] for row in csv.DictReader(file)}["p99"] == "60.0"

"""The raw data of a bench survive the file, and the report shows what is derived from them."""

from pathlib import Path

import pytest

from loadtests.bench.record import BadRecord, Door, Log, Seen, read, write
from loadtests.bench.report import page
from loadtests.bench.run import client_figures
from loadtests.bench.summary import Spread
from loadtests.bench.tables import Table, figure, ranged
from loadtests.outcomes import FILE, Outcomes
from tests.unit.loadtests.benches import record, run


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write(record(run(), run(number=2)), tmp_path / "raw.json")
    assert read(tmp_path / "raw.json") == record(run(), run(number=2))
    assert [path.name for path in tmp_path.iterdir()] == ["raw.json"]


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    write(record(), tmp_path / "raw.json")
    text = (tmp_path / "raw.json").read_text().replace('"version": 1', '"version": 0', 1)
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
    failed = Seen(100, 1, 4.95, 20.0, 40.0, 60.0)
    assert not run(seen=failed).fine


def test_the_rate_is_that_of_the_orders_that_completed(tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path / FILE)
    for milliseconds in range(100, 0, -1):
        outcomes.add("good", milliseconds, "answered 503" if milliseconds <= 4 else None)
    outcomes.close()
    assert client_figures(tmp_path, 20) == Seen(100, 4, 4.8, 50, 95, 99)
    (tmp_path / FILE).write_text("")
    assert client_figures(tmp_path, 20).placed == 0


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


def test_a_table_in_markdown() -> None:
    assert Table("title", ["mode", "n"], [["a", "1"]]).markdown() == "| mode | n |\n| --- | ---: |\n| a | 1 |"


def test_the_report_says_where_it_was_measured_what_it_costs_and_what_is_full_first() -> None:
    text = page(record())
    assert "2026-01-02, commit `0123456789ab`: 2 cores (a processor), 24 GB, Python 3.11.7, PostgreSQL 15.18" in text
    assert "| `kafka-choreography` | 18.0 | 2.00 | 2.00 | 2.00 | 2.00 | 8.00 | 2.00 | 0 | 4.50 |" in text
    assert "| `kafka-choreography` | the four services | 44% | order | 500 | 110 |" in text

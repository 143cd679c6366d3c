"""Measurements over stored orders: nothing is measured twice, ratios have intervals, and the page shows the data."""

from pathlib import Path
from typing import Any

import pytest

from loadtests.bench.publish import rewritten
from loadtests.bench.record import Machine
from loadtests.saved import resume
from loadtests.stored import __main__ as command
from loadtests.stored.record import CONTENT, SETTINGS, Audit, Record, Sample, read
from loadtests.stored.summary import FIGURES, markdown, pairs, ratio


def record(**changes: Any) -> Record:
    found = Record([10, 1000], 3, "kafka-choreography", 4, 2.0, "stored", "c0ffee", Machine(2, "x", 1, "3.11", "15.1"))
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def sample(size: int, number: int, rate: float = 100) -> Sample:
    return Sample(size, number, size, int(rate * 2), 2.0, 10.0, 20.0, {"order": 2 * rate, "order-db": 4 * rate})


def test_every_round_has_every_size_in_an_order_that_turns() -> None:
    order = [size for what, size, _ in command.units(record()) if what == "sample"]
    assert order == [10, 1000, 1000, 10, 10, 1000]


def test_what_was_measured_is_not_measured_again() -> None:
    some = record(samples=[sample(10, 0), sample(1000, 0)], audits=[Audit(10, 10, 1.0, 50, True)])
    assert command.missing(some) == [
        ("audit", 1000, 0),
        *[("sample", size, number) for number, size in ((1, 1000), (1, 10), (2, 10), (2, 1000))],
    ]


def test_it_goes_on_only_with_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "raw.json"

    def resumed(**settings: Any) -> Record:
        return resume(path, record(**settings), SETTINGS, CONTENT)

    assert resumed().samples == []
    record(samples=[sample(10, 0)]).save(path)
    assert resumed().samples == [sample(10, 0)]
    with pytest.raises(ValueError, match="was made with clients 4, not 5"):
        resumed(clients=5)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"raw\.json cannot be read"):
        resumed()


def test_the_ratio_of_pairs_has_an_interval_of_students_t() -> None:
    found = ratio([(100.0, 90.0), (200.0, 180.0), (50.0, 45.0)])
    assert (round(found.mean, 3), round(found.low, 3), round(found.high, 3)) == (0.9, 0.9, 0.9)
    found = ratio([(1.0, 0.9), (1.0, 1.0), (1.0, 1.1)])
    assert found.low < 0.9 < found.mean < 1.1 < found.high
    assert str(ratio([(2.0, 1.0)])) == "0.50"


def test_only_rounds_with_both_sizes_are_pairs() -> None:
    some = record(samples=[sample(10, 0), sample(1000, 0, 90), sample(10, 1)])
    assert pairs(some, 1000, FIGURES["settled a second"]) == [(100.0, 90.0)]
    text = markdown(record(samples=some.samples, audits=[Audit(1000, 1000, 0.5, 60, True)], filled={1000: 3.2}))
    assert "| 1,000 | 90 | 0.90 |" in text
    assert "| 1,000 | 0.5 | 2,000 | 60 MB | 3 s |" in text


@pytest.mark.parametrize("setting", ["SIZES=none", "PAIRS=0", "MODE=pigeon", "DURATION=-1", "STOP_AFTER=soon"])
def test_a_wrong_setting_is_named(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, value = setting.split("=")
    assert command.main({name: value}, []) == 2
    assert name == "STOP_AFTER" or setting in capsys.readouterr().err


def test_the_page_is_what_the_command_makes_of_the_data() -> None:
    page = command.PAGE.read_text()
    published = read(command.DATA)
    assert page == rewritten(page, {"curve": markdown(published)}, "stored"), f"publish it again: {command.COMMAND}"
    assert all(audit.consistent for audit in published.audits)

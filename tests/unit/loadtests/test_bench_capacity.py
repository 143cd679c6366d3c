"""The capacity model, compared with numbers computed by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.bench import capacity
from loadtests.bench.capacity import commits, instances, need, processes
from loadtests.bench.storage import write
from loadtests.bench.summary import Service, summarize
from tests.unit.loadtests.benches import record

# 0.6 ms of its process and 0.3 ms of its database; two transactions of 5 ms with one command each, three that write
PART = Service(0.6, 0.3, transactions=2.0, batch=1.0, seconds=0.005, writes=3.0, wal_bytes=4_000.0)


def test_a_python_process_is_full_at_six_tenths_of_a_core() -> None:
    assert processes(PART, 1_000) == 1
    assert processes(PART, 1_001) == 2
    assert processes(PART, 100_000) == 100
    assert processes(replace(PART, cpu=0.0), 1_000) == 1


def test_every_transaction_is_committed_alone_while_a_process_has_time_for_it() -> None:
    assert commits(PART, 50) == 150


def test_no_more_transactions_are_committed_than_fit_one_after_the_other() -> None:
    assert commits(PART, 1_000) == pytest.approx(300)  # one process: 200 of its door in a second, not 2,000
    assert commits(PART, 10_000) == pytest.approx(3_000)


def test_a_database_is_split_by_cpu_or_by_its_log_whichever_asks_for_more() -> None:
    assert instances(PART, 1_000) == 1
    assert instances(PART, 100_000) == 7  # 30,000 commits/s; 4 in each of the 1,200 syncs/s that are planned for
    assert instances(replace(PART, database_cpu=1.0), 100_000) == 11  # 100 cores busy, 9.6 of each server


def test_one_process_has_its_log_syncs_for_itself() -> None:
    lone = replace(PART, cpu=0.001, seconds=0.0)
    assert processes(lone, 1_000) == 1
    assert instances(lone, 1_000) == 3  # 3,000 commits/s, one in each of 1,200 syncs/s


def test_the_need_of_a_mode_at_a_size() -> None:
    (summary,) = summarize(record())
    needed = need(summary, 10_000)
    assert needed.service_cores == pytest.approx(133.3, abs=0.1)  # 8 ms
    assert needed.processes == 34  # 2 ms of one service
    assert needed.database_cores == pytest.approx(133.3, abs=0.1)
    assert needed.carrier_cores == pytest.approx(33.3, abs=0.1)
    assert needed.messages == 100_000
    assert needed.network == 100_000_000  # 5 KB an order, there and back
    assert needed.wal == 40_000_000
    # 34 processes, 2 ms a transaction: 17,000 door transactions/s, 1.5 times as many that write, 4,800 a server
    assert needed.instances == dict.fromkeys(summary.parts, 6)
    assert needed.cells == 6


def test_the_command_prints_a_table_for_each_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(record(), tmp_path / "raw.json")
    assert capacity.main([str(tmp_path / "raw.json")]) == 0
    output = capsys.readouterr().out
    assert [line for line in output.splitlines() if line.startswith("**")] == [
        "**1,000 checkouts/s**",
        "**10,000 checkouts/s**",
        "**100,000 checkouts/s**",
    ]
    assert "| `kafka-choreography` | 134 | 34 | 134 | 6 / 6 / 6 / 6 | 6 | 100,000 | 100 | 40.0 | 34 |" in output


@pytest.mark.parametrize("text", ["{}", "no json", '{"version": 2}'])
def test_a_file_that_is_no_record_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "raw.json").write_text(text)
    assert capacity.main([str(tmp_path / "raw.json")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "is no record of a bench" in message


def test_a_missing_argument_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert capacity.main([]) == 2
    assert capacity.main(["no-such-file"]) == 2
    assert "no-such-file" in capsys.readouterr().err

"""The command with a stack that only pretends: its exit status, its files, and how it goes on after an interruption."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.bench import __main__ as command
from loadtests.bench import run as module
from loadtests.bench import session
from loadtests.bench.plan import BenchPlan
from loadtests.bench.record import Disturbance, Run
from loadtests.bench.storage import read, write
from loadtests.bench.turns import Turn
from quartet_stack.errors import StackError
from tests.unit.loadtests.benches import MACHINE, run

CALM, BUSY = Disturbance(0.0, 0.0), Disturbance(0.0, 99.0)


@dataclass
class Stage:
    """Plays the runs; `plays` makes one, of a turn and the folder of the attempt."""

    folder: Path
    made: list[str]
    plays: Callable[[Turn, Path], Run]
    lacks: tuple[str, ...] = ()

    @property
    def raw(self) -> Path:
        return self.folder / "raw.json"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """A bench of two runs each of two modes, in its own folder."""
    scene = Stage(tmp_path / "report", [], good)

    def probe(bench: object, turn: Turn, target: Path) -> Run:
        scene.made.append(f"{turn.name}/{target.name}")
        return scene.plays(turn, target)

    class Bench(module.Bench):
        def postgresql(self) -> str:
            return "15.18"

        def clean(self) -> None:
            scene.made.append("clean")

    def fetch(name: str, report: object) -> None:
        if name in scene.lacks:
            raise StackError(f"{name} needs Java,\nwhich is not here")

    @contextmanager
    def no_stack(bench: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(command, "Bench", Bench)
    monkeypatch.setattr(session, "probe", probe)
    monkeypatch.setattr(session.api, "fetch", fetch)
    monkeypatch.setattr(session.peers, "fetch", fetch)
    monkeypatch.setattr(command, "_own_stack", no_stack)
    monkeypatch.setattr(command, "commit", lambda: "0123456789ab")
    for name, value in {
        "MODES": "kafka,sns-sqs",
        "RUNS": "2",
        "REPORT": str(scene.folder),
        "BENCH_STACK_DIR": str(tmp_path / "stack"),
    }.items():
        monkeypatch.setenv(name, value)
    return scene


def good(turn: Turn, target: Path) -> Run:
    return run(mode=turn.mode, number=turn.number, offered=turn.rate, disturbance=CALM)


def test_a_good_bench_ends_with_0_and_leaves_everything_in_files(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main() == 0
    record = read(stage.raw)
    assert record.whole
    assert record.machine.postgresql == "15.18"
    assert record.command == "make bench MODES=kafka,sns-sqs RUNS=2"
    assert stage.made == [f"{turn.name}/attempt-1" for turn in record.plan.turns()]
    assert {"report.md", "raw.json", "runs.csv", "headline.csv"} <= {path.name for path in stage.folder.iterdir()}
    said = capsys.readouterr().out
    assert "The modes at the same load" in said
    assert "4 of 4 runs to make" in said
    assert "none left" in said


@pytest.mark.parametrize("wrong", [{"consistent": False}, {"drained": False}, {"orders": 0}])
def test_one_wrong_run_makes_the_exit_status_1(
    stage: Stage, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any]
) -> None:
    stage.plays = lambda turn, target: replace(good(turn, target), **(wrong if turn.number == 2 else {}))
    assert command.main() == 1
    assert "found: kafka-choreography at 5/s, run 2: " in capsys.readouterr().out


def test_a_run_that_breaks_is_tried_again_on_a_new_stack_and_then_left_out(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = command.plan({"MODES": "kafka,sns-sqs", "RUNS": "2"}).turns()[1]

    def breaks(turn: Turn, target: Path) -> Run:
        if turn == broken:
            raise StackError("the order service does not start; the end of its log:\n  no space left on device")
        return good(turn, target)

    stage.plays = breaks
    assert command.main() == 1
    said = capsys.readouterr().out
    own = stage.folder.parent / "stack"
    again = f"make bench MODES=kafka,sns-sqs RUNS=2 BENCH_STACK_DIR={own} REPORT={stage.folder}"
    assert f"to make the runs that are missing: {again}" in said
    assert "found: 1 of 4 planned runs are missing" in said
    assert said.count("no space left on device") == 2, "the reason is shown whole"
    turns = read(stage.raw).plan.turns()
    first, *others = [f"{turn.name}/attempt-1" for turn in turns if turn != broken]
    assert stage.made == [first, *[f"{broken.name}/attempt-1", "clean"] * 2, *others]
    stage.plays, stage.made[:] = good, []
    assert command.main() == 0
    assert stage.made == [f"{broken.name}/attempt-1"]
    assert [one.number for one in read(stage.raw).runs] == [1, 1, 2, 2]
    stage.made.clear()
    assert command.main() == 0
    assert stage.made == []


def test_a_bench_ends_when_every_run_breaks(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    def breaks(turn: Turn, target: Path) -> Run:
        raise StackError("the disk is full")

    stage.plays = breaks
    assert command.main() == 1
    assert len(stage.made) == session.BROKEN_MOST * session.TRIES * 2
    assert "found: 4 of 4 planned runs are missing" in capsys.readouterr().out


def test_a_mode_or_peer_without_its_component_is_left_out_and_the_report_says_why(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEERS", "restate")
    stage.lacks = ("kafka-choreography", "restate")
    assert command.main() == 0
    record = read(stage.raw)
    assert {one.mode for one in record.runs} == {"sns-sqs-choreography"}
    said = capsys.readouterr().out
    assert "2 of 2 runs to make" in said
    assert "restate is left out: restate needs Java, which is not here" in said
    row = "| `kafka-choreography` | kafka-choreography needs Java, which is not here |"
    assert row in (stage.folder / "report.md").read_text()
    assert "<code>restate</code></td>" in (stage.folder / "report.html").read_text()
    stage.lacks, stage.made[:] = (), []
    assert command.main() == 0
    assert len(stage.made) == 4
    assert not read(stage.raw).missing


def test_a_folder_with_another_plan_is_refused_before_anything_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main() == 0
    stage.made.clear()
    monkeypatch.setenv("RUNS", "3")
    assert command.main() == 2
    assert "another plan" in capsys.readouterr().err
    monkeypatch.setenv("RUNS", "2")
    monkeypatch.setattr(command, "commit", lambda: "ffffffffffff")
    assert command.main() == 2
    assert "another commit: 0123456789ab, now it is ffffffffffff" in capsys.readouterr().err
    monkeypatch.setattr(command, "commit", lambda: "0123456789ab")
    write(replace(read(stage.raw), machine=MACHINE), stage.raw)
    assert command.main() == 2
    assert "another machine: 2 cores (a processor)" in capsys.readouterr().err
    assert stage.made == []


def test_discarded_runs_are_kept_with_their_reason(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    def disturbed(turn: Turn, target: Path) -> Run:
        first = len(stage.made) == 1
        return replace(good(turn, target), disturbance=BUSY if first else CALM)

    stage.plays = disturbed
    assert command.main() == 0
    record = read(stage.raw)
    assert len(record.runs) == 4
    (discarded,) = record.discarded
    assert discarded.reason == "other programs used 99.0 % of the machine's CPU, more than 10 %"
    assert stage.made[1].endswith("attempt-2")
    assert discarded.reason in (stage.folder / "report.md").read_text()
    assert "it is repeated" in capsys.readouterr().out


def test_a_stall_is_found_against_the_baseline_and_the_overlap_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.main() == 0
    write(read(stage.raw), tmp_path / "before.json")
    monkeypatch.setenv("BASELINE", str(tmp_path / "before.json"))
    monkeypatch.setenv("REPORT", str(tmp_path / "later"))

    def stalled(turn: Turn, target: Path) -> Run:
        one = good(turn, target)
        return replace(one, seen=replace(one.seen, p50=one.seen.p50 + 4 * 50))

    stage.plays = stalled
    assert command.main() == 1
    said = capsys.readouterr().out
    assert "the intervals of 10 of 12 figures overlap with those of the baseline; the median of their" in said
    assert "found: kafka-choreography: p50 ms 220, in the baseline 20.0" in said


def test_a_wrong_setting_is_told_in_one_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BASELINE", "no-such-file.json")
    assert command.main() == 2
    message = capsys.readouterr().err
    assert message.startswith("no-such-file.json is no record of a bench")
    assert message.count("\n") == 1
    assert not stage.folder.exists()


def test_the_time_that_is_left_is_estimated_from_the_runs_of_this_call() -> None:
    chosen: BenchPlan = command.plan({"QUICK": "1"})
    turns = chosen.turns()
    assert session.remaining(chosen, turns, 0, 0.0) == "about 13 min left"
    assert session.remaining(chosen, turns, 12, 2 * chosen.estimate(turns[:12])) == "about 13 min left"
    assert session.remaining(chosen, turns, 24, 150.0) == "none left"

"""What the parts of a bench make of what they measured, without a stack."""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.bench import probes as module
from loadtests.bench.measure import Reading
from loadtests.bench.parts import FLOOR, PARTS, PEER, REFUSED, part
from loadtests.bench.peers.measure import fetch
from loadtests.bench.probes import PROBES, holds, recovered
from loadtests.bench.record import LATE, Run, Seen
from loadtests.bench.run import Bench, Load
from loadtests.bench.sights import Sight
from loadtests.bench.turns import Turn
from loadtests.shoppers import mix
from quartet_stack import api
from tests.unit.loadtests.benches import KAFKA, PLAN, run

STEP = replace(PLAN, step=20.0, objective=100.0)


def orders(*times: tuple[float, float]) -> list[Sight]:
    return [Sight(at, "completed", ms) for at, ms in times]


@pytest.mark.parametrize(
    ("seen", "drained", "held"),
    [
        (Seen(100, 0, 0, 5.0, 20.0, 40.0, 100.0), True, True),
        (Seen(100, 0, 0, 5.0, 20.0, 40.0, 101.0), True, False),
        (Seen(100, 1, 0, 4.9, 20.0, 40.0, 60.0), True, False),
        (Seen(100, 0, 1, 4.9, 20.0, 40.0, 60.0), True, False),
        (Seen(100, 0, 0, 5.0, 20.0, 40.0, 60.0), False, False),
        (Seen(59, 0, 0, 5.0, 20.0, 40.0, 60.0), True, False),
    ],
)
def test_a_rate_holds_if_it_arrived_in_time_whole_and_drained(seen: Seen, drained: bool, held: bool) -> None:
    assert holds(run(seen=seen, drained=drained), STEP) is held


def test_a_rate_at_which_nothing_arrived_does_not_hold() -> None:
    nothing = run(offered=1.0, seen=Seen(0, 0, 0, 0.0, 0.0, 0.0, 0.0))
    assert not holds(nothing, replace(STEP, step=2.0))


def test_recovery_ends_with_the_last_order_that_the_fault_slowed() -> None:
    before = [(float(second), 50.0) for second in range(10)]
    during = [(10.5, 12_000.0), (15.0, 9_000.0), (21.0, 120.0), (22.0, 1_000.0), (30.0, 60.0)]
    assert recovered(orders(*before, *during), died=10.0, back=20.0) == pytest.approx(4.0)
    assert recovered(orders(*before), died=10.0, back=20.0) == 0.0


def test_an_order_that_never_ended_shows_in_the_recovery() -> None:
    lost = [Sight(12.0, "timed out", LATE)]
    assert recovered(orders((1.0, 50.0)) + lost, died=10.0, back=20.0) > 60


def test_every_part_is_measured_by_something_and_its_mix_can_be_drawn() -> None:
    assert PROBES.keys() == {*PARTS, PEER, FLOOR}
    for name in PROBES:
        assert mix(part(name).mix)


@pytest.mark.parametrize(("name", "share"), [("failing-1", 0.01), ("failing-10", 0.1)])
def test_the_failing_mixes_refuse_the_share_that_their_name_says(name: str, share: float) -> None:
    kinds = mix(PARTS[name].mix)
    whole = sum(kind.weight for kind in kinds)
    assert {kind.name for kind in kinds if kind.reason} == set(REFUSED)
    assert sum(kind.weight for kind in kinds if kind.reason) / whole == pytest.approx(share, rel=1e-3)


class Stub(Bench):
    """A bench whose stack carries 40 orders/s, and whose programs are only stopped and started by name."""

    def begin(self, turn: Turn, target: Path, warm: bool = True, more: Mapping[str, str] | None = None) -> None:
        self.visit.mode, self.visit.given = turn.mode, more or {}

    def up(self, mode: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
        return {}

    def measured(self, turn: Turn, load: Load, target: Path, without: Collection[str] = ()) -> Run:
        p99 = 60.0 if load.rate <= 40 else 9_000.0
        placed = round(load.rate * load.window)
        seen = Seen(placed, 0, 0, load.rate, 20.0, 40.0, p99)
        if turn.part == "dead-service":
            time.sleep(0.2)  # the load, in which the service dies and comes back
        return run(mode=turn.mode, part=turn.part, offered=load.rate, orders=placed, seen=seen)

    def audited(self, run: Run) -> Run:
        return replace(run, consistent=True)


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the programs of the stack."""
    done: list[str] = []
    for name in ("stop", "start"):
        monkeypatch.setattr(api, name, lambda program, stack_dir, name=name: done.append(f"{name} {program}"))
    monkeypatch.setattr(api, "down", lambda stack_dir: done.append("down"))
    monkeypatch.setattr(module, "sights", lambda lines: orders((0.0, 50.0), (time.monotonic(), 400.0)))
    monkeypatch.setattr(module, "read_lines", lambda path: [])
    return done


def probed(part: str, tmp_path: Path, holds: float = 0.0, **plan: Any) -> Run:
    bench = Stub(replace(PLAN, step=20.0, settle=0, **plan), {}, Console(quiet=True))
    bench.visit.holds = holds
    return module.probe(bench, Turn(1, KAFKA, 5.0, part), tmp_path)


def test_saturation_is_the_highest_rate_that_held_and_all_steps_are_kept(did: list[str], tmp_path: Path) -> None:
    made = probed("saturation", tmp_path)
    assert made.figures["saturation"] == made.offered
    assert made.offered <= 40 <= made.offered * 1.15
    assert [step.offered for step in made.steps] == sorted(step.offered for step in made.steps)
    assert [step.held for step in made.steps] == [step.offered <= 40 for step in made.steps]
    none = probed("saturation", tmp_path, objective=1.0)
    assert none.figures["saturation"] == 0
    assert not any(step.held for step in none.steps)


def test_a_dead_service_is_stopped_during_the_load_and_its_recovery_measured(
    did: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEAD_AFTER", 0.05)
    monkeypatch.setattr(module, "DEAD_FOR", 0.05)
    made = probed("dead-service", tmp_path)
    assert did == ["stop payment", "start payment"]
    assert 0 < made.figures["recovery_seconds"] < 30


def test_a_cold_start_begins_with_a_stopped_stack_and_ends_with_an_order(
    did: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "one_order", lambda stack: did.append("an order"))
    made = probed("cold-start", tmp_path)
    assert did == ["down", "an order"]
    assert 0 <= made.figures["ready_seconds"] <= made.figures["first_order_seconds"]


def test_a_backlog_is_placed_while_no_participant_runs(
    did: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def place(stack: object, count: int, seconds: float) -> int:
        did.append(f"place {count}")
        return count

    class Watch:
        def __init__(self, stack_dir: str) -> None:
            self.at = time.monotonic()

        def read(self) -> Reading:
            return Reading(self.at, {"order": 0.0})

    monkeypatch.setattr(module, "place", place)
    monkeypatch.setattr(module, "Stopwatch", Watch)
    monkeypatch.setattr(module.Target, "from_environment", lambda stack: None)
    monkeypatch.setattr(module, "until_drained", lambda *_: (Reading(time.monotonic() + 2, {"order": 8.0}), True))
    made = probed("backlog", tmp_path, backlog=700)
    stops = [f"stop {name}" for name in ("payment", "inventory", "shipping")]
    assert did == [*stops, "place 700", *(stop.replace("stop", "start") for stop in stops)]
    assert made.figures["backlog_orders"] == made.orders == 700
    assert made.figures["drained_per_second"] == pytest.approx(700 / made.figures["drain_seconds"], rel=0.05)
    probed("backlog", tmp_path, backlog=700, holds=8.0)
    assert "place 480" in did, "what a slow mode needs a minute for"


def test_the_mode_over_postgresql_is_measured_with_that_setting_and_goes_by_a_name_of_its_own(tmp_path: Path) -> None:
    bench = Stub(PLAN, {}, Console(quiet=True))
    measured = PROBES[PEER](bench, Turn(1, "temporal_postgresql", 5.0, PEER), tmp_path)
    assert (measured.mode, measured.part, measured.offered) == ("temporal_postgresql", PEER, 5.0)
    assert bench.visit.given == {"TEMPORAL_STORE": "postgresql"}
    assert bench.visit.mode == "", "whatever comes next starts the stack again"


def test_its_server_is_fetched_and_no_package_of_other_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[tuple[str, Mapping[str, str]]] = []
    monkeypatch.setattr(api, "fetch", lambda mode, report, env: fetched.append((mode, env)))
    fetch("temporal_postgresql", lambda text: None)
    assert fetched == [("temporal-orchestration", {"TEMPORAL_STORE": "postgresql"})]

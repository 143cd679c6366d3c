"""A run of a bench, without a stack: when the measurement of CPU ends, and how Locust is called."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from checkout_audit.drain import InFlight
from checkout_audit.target import Target
from loadtests.bench import run as module
from loadtests.bench.measure import Reading
from loadtests.bench.run import Bench, Load, until_drained
from loadtests.bench.turns import Turn
from loadtests.history import FILE, appending
from quartet_stack.errors import StackError
from tests.unit.loadtests.benches import KAFKA, PLAN

LOAD = Load(5.0, 2, 17, "good")


class Watch:
    """Every reading is a millisecond later."""

    def __init__(self) -> None:
        self.at = 0.0

    def read(self) -> Reading:
        self.at += 1
        return Reading(self.at, {})


@pytest.mark.parametrize(
    ("looks", "taken", "quiet"),
    [
        ([0, 0], 1, True),
        ([2, 1, 0, 0], 3, True),
        ([0, 1, 0, 0], 2, True),
        ([1, 1], 3, False),
    ],
)
def test_the_measurement_of_cpu_ends_before_the_check_that_found_nothing(
    monkeypatch: pytest.MonkeyPatch, looks: list[int], taken: float, quiet: bool
) -> None:
    async def drain(databases: object, seconds: float, looked: Callable[[InFlight], None]) -> InFlight:
        for orders in looks:
            looked(InFlight(orders))
        return InFlight(looks[-1])

    monkeypatch.setattr(module, "drain", drain)
    reading, done = until_drained(Target({}), Watch())
    assert (reading.at, done) == (taken, quiet)


def _bench() -> Bench:
    return Bench(PLAN, {}, Console(quiet=True))


def test_locust_is_asked_for_good_orders_only_the_same_ones_in_each_mode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[Mapping[str, str]] = []

    def locust(values: Mapping[str, str], stack: Any, folder: Path, log: Path) -> int:
        calls.append(values)
        with appending(folder / FILE, "shoppers") as history:
            history.invoke("order", "alice", "k")
        return 0

    monkeypatch.setattr(module, "locust", locust)
    benches = [_bench(), _bench()]
    for bench, mode in zip(benches, ("a", "b"), strict=True):
        bench.load(Turn(2, mode, 5.0), LOAD, tmp_path / mode)
    assert calls[0] == calls[1]
    assert (calls[0]["MIX"], calls[0]["RATE"], calls[0]["DURATION"], calls[0]["SHAPE"]) == (
        "good",
        "5",
        "20",
        "constant",
    )
    assert calls[0]["SEED"] == "3"
    assert [one.key for one in benches[0].visit.told] == ["k"]


def test_a_locust_that_could_not_run_ends_the_bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "locust", lambda *_: 2)
    with pytest.raises(StackError, match=r"status 2; see .*locust\.log"):
        _bench().load(Turn(1, KAFKA, 5.0), LOAD, tmp_path)


def test_the_stack_is_started_once_for_a_visit_and_again_for_other_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    did: list[str] = []

    class Stub(Bench):
        def up(self, mode: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
            did.append(f"up {mode} {' '.join(given or {})}".strip())
            return {}

        def clean(self) -> None:
            did.append("clean")

        def load(self, turn: Turn, load: Load, folder: Path) -> None:
            did.append(f"warm up at {turn.rate:g}")

    class Idle(Watch):
        def __init__(self, stack_dir: str) -> None:
            super().__init__()

    monkeypatch.setattr(module, "Stopwatch", Idle)
    bench = Stub(replace(PLAN, idle=0.0), {}, Console(quiet=True))
    for turn in (
        Turn(1, "a", 5.0),
        Turn(1, "a", 8.0),
        Turn(1, "a", 5.0, "backlog"),
        Turn(1, "b", 5.0),
        Turn(2, "b", 5.0, "cold-start"),
    ):
        bench.begin(turn, tmp_path, warm=turn.part != "cold-start")
    backlog = "up a SAGA_DEADLINE ADMISSION_FREE SAGA_ATTENTION_AFTER"
    assert did == [
        "clean",
        "up a",
        "warm up at 5",
        backlog,
        "warm up at 5",
        "up b",
        "warm up at 5",
        "clean",
        "up b",
    ]

"""What the parts of a bench make of what they measured, without a stack."""

from dataclasses import replace

import pytest

from loadtests.bench.parts import PARTS, PEER, REFUSED, part
from loadtests.bench.probes import PROBES, holds, recovered
from loadtests.bench.record import LATE, Seen
from loadtests.bench.sights import Sight
from loadtests.shoppers import mix
from tests.unit.loadtests.benches import PLAN, run

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


def test_recovery_ends_with_the_last_order_that_the_fault_slowed() -> None:
    before = [(float(second), 50.0) for second in range(10)]
    during = [(10.5, 12_000.0), (15.0, 9_000.0), (21.0, 120.0), (22.0, 1_000.0), (30.0, 60.0)]
    assert recovered(orders(*before, *during), died=10.0, back=20.0) == pytest.approx(4.0)
    assert recovered(orders(*before), died=10.0, back=20.0) == 0.0


def test_an_order_that_never_ended_shows_in_the_recovery() -> None:
    lost = [Sight(12.0, "timed out", LATE)]
    assert recovered(orders((1.0, 50.0)) + lost, died=10.0, back=20.0) > 60


def test_every_part_is_measured_by_something_and_its_mix_can_be_drawn() -> None:
    assert PROBES.keys() == {*PARTS, PEER}
    for name in PROBES:
        assert mix(part(name).mix)


@pytest.mark.parametrize(("name", "share"), [("failing-1", 0.01), ("failing-10", 0.1)])
def test_the_failing_mixes_refuse_the_share_that_their_name_says(name: str, share: float) -> None:
    kinds = mix(PARTS[name].mix)
    whole = sum(kind.weight for kind in kinds)
    assert {kind.name for kind in kinds if kind.reason} == set(REFUSED)
    assert sum(kind.weight for kind in kinds if kind.reason) / whole == pytest.approx(share, rel=1e-3)

"""The simulation finds every seeded defect, by the invariants that are to detect it."""

import pytest

from sagakit.topology import CHOREOGRAPHY
from tests.simulation.controls import WITHIN, schedules_to_find
from tests.simulation.design import STYLES, Design
from tests.simulation.explore import explore
from tests.simulation.mutants import MUTANTS
from tests.simulation.scenario import scenario_of, single
from tests.simulation.schedule import replay, run, shrink


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_seeded_defect_is_caught_by_its_invariants(name: str, style: str) -> None:
    count = schedules_to_find(name, style)
    print(f"caught after {count} schedules")
    assert count is not None, (
        f"within {WITHIN} schedules not all of the invariants {MUTANTS[name].caught_by} were broken"
    )


def test_every_invariant_has_a_mutant_that_breaks_it() -> None:
    assert {invariant for mutant in MUTANTS.values() for invariant in mutant.caught_by} == set(range(1, 11))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "name",
    [
        "no inbox claim",
        "no tombstone in inventory",
        "no tombstone in payment",
        "no tombstone in shipping",
        "repeats are not answered",
        "pivot without condition",
        "late authorization not voided",
        "late booking not cancelled",
    ],
)
def test_exploring_every_state_finds_the_defect_on_a_short_path(name: str, style: str) -> None:
    exploration = explore(MUTANTS[name].mutate(Design(style)), single("good"))
    print("; ".join(exploration.path), exploration.violation)
    assert exploration.violation is not None
    assert len(exploration.path) <= 12


@pytest.mark.parametrize("style", STYLES)
def test_the_sweeper_repairs_what_an_early_acknowledgement_loses(style: str) -> None:
    design = Design(style).without_machinery(acknowledges_after_commit=False)
    for seed in range(500):
        assert run(design, seed).violations == [], f"seed {seed}"


@pytest.mark.parametrize("style", STYLES)
def test_without_a_sweeper_an_acknowledgement_before_the_commit_loses_the_order(style: str) -> None:
    design = Design(style).without_machinery(sweeper=False)
    early = design.without_machinery(acknowledges_after_commit=False)
    first = "o1/OrderPlaced" if style == CHOREOGRAPHY else "o1/ReserveStock"
    crash = [("place", ("o1",)), ("relay", ("order", first)), ("deliver", (f"inventory < {first}",), "crash")]
    assert replay(design, single("good"), crash).violations == []
    assert replay(early, single("good"), crash).broken >= {2}


@pytest.mark.parametrize("style", STYLES)
def test_a_failing_schedule_shrinks_to_one_from_which_no_step_can_be_left_out(style: str) -> None:
    design = MUTANTS["no tombstone in inventory"].mutate(Design(style))
    seed = next(seed for seed in range(WITHIN) if 4 in run(design, seed).broken)

    def fails(steps: object) -> bool:
        return 4 in replay(design, scenario_of(seed), steps).broken  # type: ignore[arg-type]

    least = shrink(fails, run(design, seed).steps)
    assert fails(least)
    assert not any(fails(least[:position] + least[position + 1 :]) for position in range(len(least)))
    assert len(least) <= 8

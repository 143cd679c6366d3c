"""The production auditor over simulated histories: it finds each seeded defect, and nothing else."""

import pytest

from tests.simulation.audited import audit
from tests.simulation.design import STYLES, Design
from tests.simulation.healing import heal
from tests.simulation.mutants import MUTANTS
from tests.simulation.schedule import run

INVISIBLE = {"deadline ignored"}
"""Such an order is late; once it has been healed, nothing that is recorded is wrong."""


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("adopting", [False, True])
def test_the_auditor_finds_nothing_in_any_consistent_history(style: str, adopting: bool) -> None:
    for seed in range(400):
        assert audit(run(Design(style), seed, adopting).world) == {}, f"seed {seed}"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", sorted(MUTANTS.keys() - INVISIBLE))
def test_the_auditor_sees_the_outcome_of_every_seeded_defect(name: str, style: str) -> None:
    design = MUTANTS[name].mutate(Design(style))
    for seed in range(2000):
        done = run(design, seed)
        if done.violations:
            heal(done.world)
            violations = audit(done.world)
            if violations:
                print(f"seed {seed}: {violations}")
                return
    pytest.fail("the auditor saw nothing")

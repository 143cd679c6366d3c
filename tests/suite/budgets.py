"""How long each part of the suite may take; `make test` reports what it took. docs/testing.md explains the choices.

Seconds on the clock, summed over a part's tests as they were measured in a run of `make test` with its workers on two
cores that do nothing else, and a quarter more. A part that grows beyond its budget gets faster, or moves its longest
tests to NIGHTLY=1; or the budget is raised in a commit that says why.
"""

from dataclasses import dataclass
from typing import Final

from sagakit.modes import MODES
from tests.suite.choice import Choice


@dataclass(frozen=True, slots=True)
class Budget:
    """In seconds. `nightly`, `fast`: where they differ."""

    ordinary: int
    nightly: int | None = None
    fast: int | None = None

    def of(self, choice: Choice) -> int:
        chosen = self.fast if choice.fast else self.nightly if choice.nightly else None
        return self.ordinary if chosen is None else chosen


BUDGETS: Final[dict[str, Budget]] = {
    "static checks": Budget(40, fast=20),
    "unit tests": Budget(60),
    "unit tests on PostgreSQL": Budget(120),
    "contracts": Budget(5),
    "architecture": Budget(5),
    "agreement, simulated": Budget(10),
    "simulation": Budget(80, nightly=400),
    "conformance: in memory": Budget(60),
    "conformance: kafka": Budget(150),
    "conformance: sns_sqs": Budget(150),
    "conformance: pubsub": Budget(150),
    "conformance: temporal": Budget(120),
    **{f"end to end: {mode}": Budget(150, nightly=240) for mode in MODES},
    "end to end: switching modes": Budget(150),
    "the whole run": Budget(18 * 60, nightly=45 * 60, fast=90),
}

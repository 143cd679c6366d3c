"""How long each part of the suite may take; `make test` reports how long it took. docs/testing.md explains the choices.

Seconds of wall-clock time, summed over the tests of a part, in a run of `make test` on two idle cores. Together they
are at most the time of all workers within the budget of the whole run. A part that exceeds its budget gets faster, or
its longest tests move to NIGHTLY=1; or the budget is raised in a commit that says why.
"""

from dataclasses import dataclass
from typing import Final

from tests.suite.choice import Choice


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget in seconds; `nightly`, `fast`: those of such runs, where they differ."""

    ordinary: int
    nightly: int | None = None
    fast: int | None = None

    def of(self, choice: Choice) -> int:
        chosen = self.fast if choice.fast else self.nightly if choice.nightly else None
        return self.ordinary if chosen is None else chosen


WORKERS: Final = 4
BUDGETS: Final[dict[str, Budget]] = {
    "static checks": Budget(45, fast=25),
    "unit tests": Budget(330, fast=90),
    "unit tests on PostgreSQL": Budget(350),
    "contracts": Budget(15),
    "architecture": Budget(30),
    "agreement, simulated": Budget(10),
    "simulation": Budget(140, nightly=700),
    "conformance: in memory": Budget(70),
    "conformance: kafka": Budget(170),
    "conformance: sns_sqs": Budget(260),
    "conformance: pubsub": Budget(220),
    "conformance: temporal": Budget(170),
    "end to end: temporal-orchestration": Budget(240, nightly=320),
    "end to end: kafka-choreography": Budget(330, nightly=600),
    "end to end: sns-sqs-choreography": Budget(110, nightly=330),
    "end to end: pubsub-choreography": Budget(140, nightly=290),
    "end to end: kafka-orchestration": Budget(140, nightly=540),
    "end to end: sns-sqs-orchestration": Budget(150, nightly=400),
    "end to end: pubsub-orchestration": Budget(130, nightly=290),
    "end to end: temporal-choreography": Budget(130, nightly=320),
    "end to end: a standby is promoted": Budget(35, nightly=110),
    "end to end: switching modes": Budget(140, nightly=350),
    "end to end: chaos": Budget(340, nightly=1000),
    "end to end: alerts": Budget(1, nightly=600),
    "the whole run": Budget(18 * 60, nightly=45 * 60, fast=90),
}

"""Random schedules: derived from a seed, judged at every step and at the end, replayed, and shrunk when they fail.

Guarantee: the same seed and design give the same schedule, in any process.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.chance import Mood, choose, switch
from tests.simulation.design import Design
from tests.simulation.healing import heal, linger
from tests.simulation.invariants import Violation, finality, overdue, safety
from tests.simulation.scenario import Scenario, scenario_of
from tests.simulation.steps import Step, ends_of, perform
from tests.simulation.world import World

MAX_STEPS = 150


@dataclass(slots=True)
class Run:
    """The result of a schedule: the steps that were taken, and the violations."""

    world: World
    steps: list[Step] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    @property
    def broken(self) -> set[int]:
        return {violation.invariant for violation in self.violations}


def run(design: Design, seed: int, adopting: bool = False) -> Run:
    """Run the schedule of `seed` up to the first violation or the healed end. `adopting`: the style may change."""
    world = World(design, scenario_of(seed))
    return _play(world, _chosen(world, Random(f"schedule {seed}"), adopting))


def replay(design: Design, scenario: Scenario, steps: Iterable[Sequence[Any]]) -> Run:
    """Run exactly these steps, and heal."""
    return _play(World(design, scenario), (Step(*step) for step in steps))


def shrink(failed: Callable[[Sequence[Step]], bool], steps: Sequence[Step]) -> list[Step]:
    """Find a part of `steps` that still fails, and from which no step can be removed."""
    kept = list(steps)
    size = max(1, len(kept) // 2)
    while True:
        position, removed = 0, False
        while position < len(kept):
            candidate = kept[:position] + kept[position + size :]
            if failed(candidate):
                kept, removed = candidate, True
            else:
                position += size
        if size == 1 and not removed:
            return kept
        size = max(1, size // 2)


def explain(design: Design, seed: int, failed: Run) -> str:
    """Explain how to repeat the failure of `seed`: by the seed, and by a minimal schedule with the same violation."""
    scenario, first = scenario_of(seed), failed.violations[0]
    least = shrink(
        lambda steps: first.invariant in replay(design, scenario, steps).broken,
        failed.steps,
    )
    again = replay(design, scenario, least)
    lines = [
        f"seed {seed} under {design.style} breaks invariant {first.invariant}: {first.what}",
        f"the whole schedule, {len(failed.steps)} steps: run(Design({design.style!r}), {seed})",
        f"the shrunk one, {len(least)} steps: replay(Design({design.style!r}), scenario_of({seed}), [",
        *(f"    {tuple(step)!r}," for step in least),
        "])",
        *(f"-> {violation.invariant}: {violation.what}" for violation in again.violations),
    ]
    return "\n".join(lines)


def _chosen(world: World, random: Random, adopting: bool) -> Iterator[Step]:
    mood = Mood(random.choice((0.0, 0.1, 0.3, 0.6)), 0.1 if adopting else random.choice((0.0, 0.0, 0.0, 0.1)))
    for _ in range(random.choice((15, 40, MAX_STEPS))):
        step = choose(world, random, mood.malice)
        if step is None:
            break
        yield step
        if random.random() < mood.restless:
            yield switch(world, random)
    if random.random() < 0.3:
        yield Step("expire", ())


def _play(world: World, steps: Iterable[Step]) -> Run:
    done = Run(world)
    judged = (-1, -1)
    for step in steps:
        done.steps.append(step)
        perform(world, step)
        if judged != (world.tick, len(world.outside.ledger)):  # otherwise nothing that is checked can have changed
            judged = (world.tick, len(world.outside.ledger))
            done.violations += safety(world)
        if step.act == "expire":
            done.violations += overdue(world)
        if done.violations:
            return done
    heal(world)
    done.violations += finality(world)
    ends = ends_of(world)
    if not done.violations and linger(world):
        done.violations += finality(world)
        for order_id, end in ends_of(world).items():
            if end != ends[order_id]:
                done.violations.append(Violation(10, f"{order_id} had ended as {ends[order_id]}, and is {end}"))
    return done

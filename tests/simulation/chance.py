"""The next step of a random schedule."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, NamedTuple

from tests.simulation.carrier import STYLES
from tests.simulation.healing import rows_of
from tests.simulation.pruning import prunable
from tests.simulation.steps import Step, placed
from tests.simulation.world import World


class Mood(NamedTuple):
    """The mood of a schedule. `malice`: how often things go wrong; `restless`: how often the style changes."""

    malice: float
    restless: float


def choose(world: World, random: Random, malice: float) -> Step | None:
    """Draw the next step; None when nothing is in flight."""
    order_ids = [command.order_id for command in world.scenario.orders]
    fresh = [order_id for order_id in order_ids if not placed(world, order_id)]
    rows = list(rows_of(world))
    if not (fresh or rows or world.network or world.leased):
        return None
    bad = random.random() < malice
    if random.random() < 0.03 + 0.1 * malice:
        act = random.choice(("cancel", "deadline", "nudge", "place"))
        return Step(act, (random.choice(order_ids),), "crash" if bad else "ok")
    choices: dict[str, Sequence[object]] = {
        "place": fresh[:1],
        "relay": rows[:3],
        "deliver": list(world.network)[:4],
        "call": list(world.leased)[:2],
        "hand": list(world.hands)[:1],
        "arrive": list(world.carrier.delayed)[:1],
        "prune": prunable(world)[:1],
    }
    act = random.choice([act for act, those in choices.items() for _ in those])
    return _STEPS[act](world, random, bad)


def switch(world: World, random: Random) -> Step:
    """Draw a restart of all services, or of one, in a style."""
    if random.random() < 0.5:
        return Step("adopt", (random.choice(STYLES),))
    return Step("roll", (random.choice(list(world.services)), random.choice(STYLES)))


def _place(world: World, random: Random, bad: bool) -> Step:
    fresh = [one.order_id for one in world.scenario.orders if not placed(world, one.order_id)]
    return Step("place", (random.choice(fresh),), "crash" if bad else "ok")


def _relay(world: World, random: Random, bad: bool) -> Step:
    row = random.choice(list(rows_of(world)))
    if bad and random.random() < 0.3:
        return Step("take", row)
    return Step("relay", row, "unmarked" if bad else "ok")


def _call(world: World, random: Random, bad: bool) -> Step:
    key = random.choice(list(world.leased))
    fate = random.choice(("unknown", "crash", "unmarked", "take")) if bad else "ok"
    return Step("take", (world.leased[key], key)) if fate == "take" else Step("call", (key,), fate)


def _hand(world: World, random: Random, bad: bool) -> Step:
    row_id = random.choice(list(world.hands))
    if random.random() < 0.5:
        return Step("publish", (row_id,))
    return Step("finish", (row_id,), "crash" if bad else "ok")


def _arrive(world: World, random: Random, bad: bool) -> Step:
    return Step("arrive", random.choice(list(world.carrier.delayed)))


def _prune(world: World, random: Random, bad: bool) -> Step:
    return Step("prune", random.choice(prunable(world)))


def _deliver(world: World, random: Random, bad: bool) -> Step:
    key = random.choice(list(world.network))
    if bad and random.random() < 0.6:
        return random.choice((Step("lose", (key,)), Step("delay", (key,), "copied"), Step("delay", (key,), "moved")))
    consumer = world.network[key][0].consumer
    others = [other for other in world.network if other != key and world.network[other][0].consumer == consumer]
    batch = random.sample(others, min(len(others), random.choice((0, 0, 1, 3))))
    return Step("deliver", (key, *batch), random.choice(("crash", "unacked")) if bad else "ok")


_STEPS: Final[Mapping[str, Callable[[World, Random, bool], Step]]] = {
    "place": _place,
    "relay": _relay,
    "deliver": _deliver,
    "call": _call,
    "hand": _hand,
    "arrive": _arrive,
    "prune": _prune,
}

"""The steps of a schedule: small named acts, so that a schedule can be replayed, and shrunk by leaving some out.

A step whose object does not exist (any more) does nothing. Names are derived ids, never positions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple

from checkout.messages import CancelOrder
from order_service.domain import NEW, Order
from sagakit.door import Do, Forward
from sagakit.ports import CALLS
from sagakit.provider import ProviderOutcome
from tests.simulation.world import World


class Step(NamedTuple):
    """`act` on `names`, ending well or with the given `fate`."""

    act: str
    names: tuple[str, ...]
    fate: str = "ok"


def perform(world: World, step: Step) -> None:
    """Do `step`, if there is anything to do it to."""
    _ACTS[step.act](world, step)


def _place(world: World, step: Step) -> None:
    for command in world.scenario.orders:
        if command.order_id == step.names[0]:
            world.ask_order(Do(command), step.fate == "crash")


def _placed(world: World, order_id: str) -> bool:
    return order_of(world, order_id).status != NEW


def _cancel(world: World, step: Step) -> None:
    if _placed(world, step.names[0]):
        world.ask_order(Do(CancelOrder(step.names[0], "CUSTOMER_REQUESTED")), step.fate == "crash")


def _deadline(world: World, step: Step) -> None:
    order_id = step.names[0]
    if world.design.machinery.deadline and order_of(world, order_id).status == "PENDING":
        world.enter("order", [Do(CancelOrder(order_id, "TIMED_OUT"))], step.fate == "crash")


def _expire(world: World, step: Step) -> None:
    """Every deadline passes."""
    for command in world.scenario.orders:
        _deadline(world, Step("deadline", (command.order_id,)))


def _remind(world: World, step: Step) -> None:
    if world.design.machinery.sweeper and _placed(world, step.names[0]):
        world.enter("order", [Forward(step.names[0], None)], step.fate == "crash")


def _relay(world: World, step: Step) -> None:
    name, row_id = step.names
    if row_id in world.databases[name].outbox:
        world.relay(name, row_id, marked=step.fate == "ok")


def _deliver(world: World, step: Step) -> None:
    keys = [key for key in step.names if key in world.network]
    if keys:
        world.deliver(keys, step.fate)


def _lose(world: World, step: Step) -> None:
    world.lose([key for key in step.names if key in world.network])


def _call(world: World, step: Step) -> None:
    key = step.names[0]
    if key in world.leased:
        outcome = world.ask(key)
        if step.fate == "unknown":
            if not world.design.machinery.unknown_stays_unknown:
                world.record(key, ProviderOutcome("declined", "timeout"))
        elif outcome is not None:
            world.record(key, outcome, step.fate)


def _adopt(world: World, step: Step) -> None:
    world.adopt(replace(world.design, style=step.names[0]))


_ACTS: Final[Mapping[str, Callable[[World, Step], None]]] = {
    "place": _place,
    "cancel": _cancel,
    "deadline": _deadline,
    "expire": _expire,
    "remind": _remind,
    "relay": _relay,
    "deliver": _deliver,
    "lose": _lose,
    "call": _call,
    "adopt": _adopt,
}


def order_of(world: World, order_id: str) -> Order:
    """The order's row, as it is committed; NEW if there is none."""
    row: Order = world.databases["order"].states.get(order_id) or Order(order_id)
    return row


def unfinished(world: World) -> list[str]:
    """The placed orders that are not settled."""
    return [
        order_id
        for order_id, order in world.databases["order"].states.items()
        if order.status != NEW and not order.settled
    ]


def choose(world: World, random: Random, malice: float) -> Step | None:
    """The next step of a random schedule; None when nothing is under way. `malice`: how often things go wrong."""
    order_ids = [command.order_id for command in world.scenario.orders]
    fresh = [order_id for order_id in order_ids if not _placed(world, order_id)]
    rows = list(_rows(world))
    if not (fresh or rows or world.network or world.leased):
        return None
    bad = random.random() < malice
    if random.random() < 0.03 + 0.1 * malice:
        act = random.choice(("cancel", "deadline", "remind", "place"))
        return Step(act, (random.choice(order_ids),), "crash" if bad else "ok")
    options: list[str] = []
    options += ["place"] * bool(fresh) + ["relay"] * min(3, len(rows))
    options += ["deliver"] * min(4, len(world.network)) + ["call"] * min(2, len(world.leased))
    act = random.choice(options)
    if act == "place":
        return Step(act, (random.choice(fresh),), "crash" if bad else "ok")
    if act == "relay":
        return Step(act, random.choice(rows), "unmarked" if bad else "ok")
    if act == "call":
        fate = random.choice(("unknown", "crash", "unmarked")) if bad else "ok"
        return Step(act, (random.choice(list(world.leased)),), fate)
    key = random.choice(list(world.network))
    if bad and random.random() < 0.5:
        return Step("lose", (key,))
    consumer = world.network[key][0].consumer
    others = [other for other in world.network if other != key and world.network[other][0].consumer == consumer]
    batch = random.sample(others, min(len(others), random.choice((0, 0, 1, 3))))
    return Step(act, (key, *batch), random.choice(("crash", "unacked")) if bad else "ok")


def _rows(world: World) -> Iterator[tuple[str, str]]:
    for name, database in world.databases.items():
        for row in database.outbox.values():
            if row.channel != CALLS or row.id not in world.leased:
                yield name, row.id


def advance(world: World) -> bool:
    """One act in the order of arrival: publish, else deliver, else call. False when nothing is under way."""
    for name, row_id in _rows(world):
        world.relay(name, row_id)
        return True
    for key in world.network:
        world.deliver([key])
        return True
    for key in world.leased:
        outcome = world.ask(key)
        if outcome is not None:
            world.record(key, outcome)
            return key not in world.leased
    return False


def drain(world: World) -> None:
    """Let everything under way arrive, first come first served and without any fault, until nothing moves."""
    moving = True
    while moving:
        moving = False
        for name, row_id in list(_rows(world)):
            world.relay(name, row_id)
        for key in list(world.network):
            world.deliver([key])
            moving = True
        for key in list(world.leased):
            outcome = world.ask(key)
            if outcome is not None:
                world.record(key, outcome)
                moving = moving or key not in world.leased


def heal(world: World) -> None:
    """End all faults. The sweeper reminds of every unfinished order; each time, everything arrives."""
    drain(world)
    for _ in range(3):
        owed = unfinished(world)
        if not owed or not world.design.machinery.sweeper:
            return
        for order_id in owed:
            perform(world, Step("remind", (order_id,)))
        drain(world)

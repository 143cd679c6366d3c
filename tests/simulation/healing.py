"""How a run ends: everything in flight arrives, the sweeper nudges, and the latest messages arrive last."""

from collections.abc import Iterator

from sagakit.ports import CALLS
from tests.simulation.carrier import STYLES
from tests.simulation.others import finish, publish
from tests.simulation.steps import Step, perform, unfinished
from tests.simulation.world import World


def rows_of(world: World) -> Iterator[tuple[str, str]]:
    """(service, row id) of rows to be published, and of calls that are not leased yet."""
    for name, database in world.databases.items():
        for row in database.outbox.values():
            if row.channel != CALLS or row.id not in world.leased:
                yield name, row.id


def advance(world: World) -> bool:
    """Do one act in the order of arrival: publish, else deliver, else call. False when nothing is in flight."""
    for name, row_id in rows_of(world):
        world.relay(name, row_id)
        return True
    for key in world.network:
        world.deliver([key])
        return True
    for key in world.leased:
        outcome = world.ask(world.called(key))
        if outcome is not None:
            world.record(key, outcome)
            return key not in world.leased
    return False


def drain(world: World) -> None:
    """Let everything in flight arrive, in order and without faults, until nothing moves."""
    moving = True
    while moving:
        moving = False
        for name, row_id in list(rows_of(world)):
            world.relay(name, row_id)
        for key in list(world.network):
            world.deliver([key])
            moving = True
        for key in list(world.leased):
            outcome = world.ask(world.called(key))
            if outcome is not None:
                world.record(key, outcome)
                moving = moving or key not in world.leased


def heal(world: World) -> None:
    """End all faults: complete a partial change of style, drain, and nudge every unfinished order."""
    world.adopt(world.carrier.running["order"])
    drain(world)
    for _ in range(3):
        order_ids = unfinished(world)
        if not order_ids or not world.design.machinery.sweeper:
            return
        for order_id in order_ids:
            perform(world, Step("nudge", (order_id,)))
        drain(world)


def linger(world: World) -> bool:
    """After the end, let other processes finish and delayed messages arrive, in either style; False if none did."""
    carrier = world.carrier
    if not (world.hands or carrier.delayed or carrier.asleep):
        return False
    for row_id in list(world.hands):
        publish(world, row_id)
        finish(world, row_id)
    for place in list(carrier.delayed):
        carrier.arrive(*place)
    here = carrier.running["order"]
    for style in (*(other for other in STYLES if other != here), here):
        drain(world)
        world.adopt(style)
    drain(world)
    world.witnessed.add("a message came after the end")
    return True

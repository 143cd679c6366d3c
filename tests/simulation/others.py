"""Another process of a service that works on the same outbox: a second relay, a second caller of providers.

It leases a row, is slow, and continues with it after its lease has ended and the first process has leased the row,
published it and deleted it. As in the real store, only the process with the latest lease deletes a row.
"""

from dataclasses import replace

from sagakit.ports import CALLS
from tests.simulation.memory import leased
from tests.simulation.world import Hand, World


def take(world: World, name: str, row_id: str) -> None:
    """Lease a row of `name`; it stays where it is, and others may lease it later."""
    outbox = world.databases[name].outbox
    if row_id in outbox and row_id not in world.hands:
        world.tick += 1
        outbox[row_id] = leased(outbox[row_id], world.tick)
        world.hands[row_id] = Hand(name, outbox[row_id])


def publish(world: World, row_id: str) -> None:
    """Send the message that was leased, or make the call, even if the row has changed meanwhile."""
    hand = world.hands[row_id]
    if hand.row.channel == CALLS:
        world.hands[row_id] = replace(hand, answer=world.ask(hand.row) or hand.answer)
    else:
        world.send(hand.service, hand.row)
    if not _still_held(world, hand):
        world.witnessed.add("a row was published under a lease that had ended")


def finish(world: World, row_id: str, crash: bool = False) -> None:
    """Record the answer, if it was a call, and delete the row; with `crash`, die instead, and let go."""
    hand = world.hands.pop(row_id)
    if crash:
        return
    if hand.row.channel == CALLS and not (
        hand.answer is not None and world.conclude(hand.service, hand.row, hand.answer)
    ):
        return
    if not _still_held(world, hand):
        world.witnessed.add("a row was not deleted, since another process held it")
        return
    del world.databases[hand.service].outbox[row_id]
    world.leased.pop(row_id, None)


def _still_held(world: World, hand: Hand) -> bool:
    row = world.databases[hand.service].outbox.get(hand.row.id)
    return row is not None and row.token == hand.row.token

"""The steps of a schedule: small named acts, so that a schedule can be replayed, and shrunk by leaving some out.

A step whose object does not exist, or no longer exists, does nothing. Names are derived ids, never positions.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from checkout.messages import CancelOrder
from order_service.domain import NEW, Order
from sagakit.provider import ProviderOutcome
from sagakit.work import Execute, Nudge
from tests.simulation import others
from tests.simulation.pruning import prune
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
            world.ask_order(Execute(command), step.fate == "crash")


def placed(world: World, order_id: str) -> bool:
    return order_of(world, order_id).status != NEW


def _cancel(world: World, step: Step) -> None:
    if placed(world, step.names[0]):
        world.ask_order(Execute(CancelOrder(step.names[0], "CUSTOMER_REQUESTED")), step.fate == "crash")


def _deadline(world: World, step: Step) -> None:
    order_id = step.names[0]
    if world.design.machinery.deadline and order_of(world, order_id).status == "PENDING":
        world.claim_and_load("order", [Execute(CancelOrder(order_id, "TIMED_OUT"))], step.fate == "crash")


def _expire(world: World, step: Step) -> None:
    """Every deadline passes."""
    for command in world.scenario.orders:
        _deadline(world, Step("deadline", (command.order_id,)))


def _nudge(world: World, step: Step) -> None:
    if world.design.machinery.sweeper and placed(world, step.names[0]):
        world.claim_and_load("order", [Nudge(step.names[0])], step.fate == "crash")


def _relay(world: World, step: Step) -> None:
    name, row_id = step.names
    if row_id in world.databases[name].outbox:
        world.relay(name, row_id, marked=step.fate == "ok")


def _deliver(world: World, step: Step) -> None:
    keys = [key for key in step.names if key in world.network]
    if keys:
        if world.network[keys[0]][0].style != world.design.style:
            world.witnessed.add("an order went on in the other style")
        world.deliver(keys, step.fate)


def _lose(world: World, step: Step) -> None:
    world.carrier.lose([key for key in step.names if key in world.network])


def _call(world: World, step: Step) -> None:
    key = step.names[0]
    if key in world.leased:
        outcome = world.ask(world.called(key))
        if step.fate == "unknown":
            if not world.design.machinery.unknown_stays_unknown:
                world.record(key, ProviderOutcome("declined", "timeout"))
        elif outcome is not None:
            world.record(key, outcome, step.fate)


def _adopt(world: World, step: Step) -> None:
    world.adopt(step.names[0])


def _roll(world: World, step: Step) -> None:
    world.roll(*step.names)
    if len(set(world.carrier.running.values())) > 1:
        world.witnessed.add("services of both styles at once")


def _delay(world: World, step: Step) -> None:
    if step.names[0] in world.network:
        world.carrier.delay(step.names[0], copied=step.fate == "copied")


def _arrive(world: World, step: Step) -> None:
    if step.names in world.carrier.delayed:
        world.carrier.arrive(*step.names)


def _take(world: World, step: Step) -> None:
    others.take(world, *step.names)


def _publish(world: World, step: Step) -> None:
    if step.names[0] in world.hands:
        others.publish(world, step.names[0])


def _prune(world: World, step: Step) -> None:
    prune(world, *step.names)


def _finish(world: World, step: Step) -> None:
    if step.names[0] in world.hands:
        others.finish(world, step.names[0], step.fate == "crash")


_ACTS: Final[Mapping[str, Callable[[World, Step], None]]] = {
    "place": _place,
    "cancel": _cancel,
    "deadline": _deadline,
    "expire": _expire,
    "nudge": _nudge,
    "relay": _relay,
    "deliver": _deliver,
    "lose": _lose,
    "call": _call,
    "adopt": _adopt,
    "roll": _roll,
    "delay": _delay,
    "arrive": _arrive,
    "take": _take,
    "publish": _publish,
    "finish": _finish,
    "prune": _prune,
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


def ends_of(world: World) -> dict[str, tuple[str, str | None, bool]]:
    """Status, reason and whether it is settled, of every placed order."""
    orders = world.databases["order"].states.items()
    return {key: (one.status, one.cancellation_reason, one.settled) for key, one in orders if one.status != NEW}

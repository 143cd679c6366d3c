"""Runs a scenario in the simulator, messages in the sequence in which they were sent, and returns its final state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from checkout.catalogue import CATALOGUE
from checkout.messages import PlaceOrder
from tests.agreement.scenarios import SCARCE, Purchase, Scenario
from tests.simulation.design import Design
from tests.simulation.healing import advance
from tests.simulation.invariants import Violation, finality
from tests.simulation.scenario import Scenario as Orders
from tests.simulation.scenario import order
from tests.simulation.steps import Step, order_of, perform
from tests.simulation.world import World

_PRICES: Final = {product.sku: product.price for product in CATALOGUE}
PLENTY: Final = 1_000
_NOTHING: Final = ("NEW", "RELEASED", "VOIDED", "CANCELLED")
_REFUSED: Final = ("REJECTED", "DECLINED", "REFUSED")


@dataclass(frozen=True, slots=True)
class OrderEnd:
    """One order's end in all four services. An absent row, a tombstone and an undone hold count as the same."""

    status: str
    reason: str | None
    settled: bool
    stock: str
    payment: str
    shipment: str
    captured: int
    cancel_won: bool | None


@dataclass(frozen=True, slots=True)
class Ending:
    """The orders in the order of their submission, and what is left of the stock."""

    orders: tuple[OrderEnd, ...]
    stock: tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario after its last step. `answers`: whether a cancel won, by order; only of orders that had one."""

    world: World
    commands: tuple[PlaceOrder, ...]
    answers: Mapping[str, bool]


def run(scenario: Scenario, style: str, instant: frozenset[str]) -> tuple[Ending, list[Violation]]:
    """Run `scenario`; return its ending, and the invariants that it violated."""
    played = play(scenario, style, instant)
    world = played.world
    ends = tuple(_end(world, command, played.answers.get(command.order_id)) for command in played.commands)
    items = world.databases["inventory"].items.values()
    return Ending(ends, tuple((one.sku, one.available, one.reserved, one.committed) for one in items)), finality(world)


def play(scenario: Scenario, style: str, instant: frozenset[str]) -> Play:
    """Run every purchase to its end, one after another."""
    commands = tuple(_command(f"o{number}", purchase) for number, purchase in enumerate(scenario.purchases, start=1))
    stock = {line.sku: PLENTY for command in commands for line in command.checkout.lines} | {SCARCE: scenario.scarce}
    world = World(Design(style), Orders(commands, tuple(sorted(stock.items())), instant))
    answers: dict[str, bool] = {}
    for command, purchase in zip(commands, scenario.purchases, strict=True):
        perform(world, Step("place", (command.order_id,)))
        moving = True
        while moving:
            if command.order_id not in answers and _reached(world, command.order_id, purchase.cancel_at):
                perform(world, Step("cancel", (command.order_id,)))
                answers[command.order_id] = (
                    order_of(world, command.order_id).cancellation_reason == "CUSTOMER_REQUESTED"
                )
            moving = advance(world)
    return Play(world, commands, answers)


def _command(order_id: str, purchase: Purchase) -> PlaceOrder:
    request: Any = purchase.body
    lines = [(line["sku"], line["quantity"]) for line in request["lines"]]
    return order(order_id, lines, request["payment"]["token"], request["shipping_address"]["country"], _PRICES)


def _reached(world: World, order_id: str, point: str | None) -> bool:
    return point is not None and any(f"{order_id}/{point}" in database.events for database in world.databases.values())


def _end(world: World, command: PlaceOrder, cancel_won: bool | None) -> OrderEnd:
    order_id = command.order_id
    row = order_of(world, order_id)
    parts = [world.databases[name].states.get(order_id) for name in ("inventory", "payment", "shipping")]
    gone = (*_NOTHING, *_REFUSED) if row.cancellation_reason == "CUSTOMER_REQUESTED" else _NOTHING
    stock, payment, shipment = ("nothing" if part is None or part.status in gone else part.status for part in parts)
    captured = sum(deed.amount[0] for deed in world.outside.deeds(order_id, "capture") if deed.amount)
    return OrderEnd(row.status, row.cancellation_reason, row.settled, stock, payment, shipment, captured, cancel_won)

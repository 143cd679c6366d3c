"""The normal form of an ending, in which simulator and stack must agree in every mode.

An absent row, a tombstone and an undone hold count as the same: nothing. How far an order had come when its customer
cancelled it is left open, so a refusal on the way counts as nothing as well. Effects at the providers count as they
are, except that a hold and its undo cancel out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.agreement.scenarios import SCARCE, Scenario
from tests.agreement.simulated import PLENTY, Play, play
from tests.simulation.steps import order_of

NOTHING: Final = "nothing"
_UNDONE: Final = (None, "NEW", "VOIDED", "CANCELLED")
_REFUSED: Final = ("DECLINED", "REFUSED")
_PAIRS: Final = (("authorize", "void"), ("book", "cancel"))


@dataclass(frozen=True, slots=True)
class End:
    """One order: its own state, what payment and shipping have of it, and its effects in the providers' ledger."""

    status: str
    reason: str | None
    total: int
    payment: str
    shipment: str
    ledger: tuple[tuple[str, str], ...]
    cancel_won: bool | None


@dataclass(frozen=True, slots=True)
class Ending:
    """A scenario's orders, one after another, and its effect on the stock: available, reserved, committed by SKU."""

    orders: tuple[End, ...]
    stock: Mapping[str, tuple[int, ...]]


def end_of(
    status: str,
    reason: str | None,
    total: int,
    payment: str | None,
    shipment: str | None,
    ledger: Iterable[tuple[str, str]],
    cancel_won: bool | None,
) -> End:
    """The normal form of a settled order."""
    effects = Counter(ledger)
    nothing: tuple[str | None, ...] = _UNDONE
    if reason == "CUSTOMER_REQUESTED":
        nothing = (*_UNDONE, *_REFUSED)
        effects = Counter({effect: count for effect, count in effects.items() if effect[1] == "ok"})
        for do, undo in _PAIRS:
            both = min(effects[do, "ok"], effects[undo, "ok"])
            effects.subtract({(do, "ok"): both, (undo, "ok"): both})
    return End(
        status,
        reason,
        total,
        NOTHING if payment in nothing else str(payment),
        NOTHING if shipment in nothing else str(shipment),
        tuple(sorted(effects.elements())),
        cancel_won,
    )


def simulated(scenario: Scenario, style: str) -> Ending:
    """How the simulator ends a scenario, with providers that do not answer at once."""
    played = play(scenario, style, frozenset())
    orders = tuple(_order(played, number) for number in range(len(scenario.purchases)))
    before = {SCARCE: scenario.scarce}
    ordered = {line.sku for command in played.commands for line in command.checkout.lines}
    stock = {
        one.sku: (one.available - before.get(one.sku, PLENTY), one.reserved, one.committed)
        for one in played.world.databases["inventory"].items.values()
        if one.sku in ordered
    }
    return Ending(orders, stock)


def _order(played: Play, number: int) -> End:
    world, command = played.world, played.commands[number]
    row = order_of(world, command.order_id)
    payment, shipment = (world.databases[name].states.get(command.order_id) for name in ("payment", "shipping"))
    deeds = [deed for deed in world.outside.ledger if deed.order_id == command.order_id]
    return end_of(
        row.status,
        row.cancellation_reason,
        command.checkout.total.amount,
        payment and payment.status,
        shipment and shipment.status,
        [(deed.operation, deed.outcome) for deed in deeds],
        played.answers.get(command.order_id),
    )

"""What counts as the same ending, whoever brought it about: simulator or stack, whichever mode.

Absent, a tombstone and an undone hold are one: nothing. Of an order that its customer cancelled in time it is left open
how far it had come, so a refusal on the way is nothing as well. Money and parcels are left as the providers have them,
except that a hold and its undoing cancel out.
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
    """One order: its own words, what payment and shipping have of it, and the deeds in the providers' ledger."""

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
    """The canonical form of an order that is settled."""
    deeds = Counter(ledger)
    nothing: tuple[str | None, ...] = _UNDONE
    if reason == "CUSTOMER_REQUESTED":
        nothing = (*_UNDONE, *_REFUSED)
        deeds = Counter({deed: count for deed, count in deeds.items() if deed[1] == "ok"})
        for do, undo in _PAIRS:
            both = min(deeds[do, "ok"], deeds[undo, "ok"])
            deeds.subtract({(do, "ok"): both, (undo, "ok"): both})
    return End(
        status,
        reason,
        total,
        NOTHING if payment in nothing else str(payment),
        NOTHING if shipment in nothing else str(shipment),
        tuple(sorted(deeds.elements())),
        cancel_won,
    )


def simulated(scenario: Scenario, style: str) -> Ending:
    """How the simulator ends a scenario, with providers that take their time."""
    played = play(scenario, style, frozenset())
    orders = tuple(_order(played, number) for number in range(len(scenario.purchases)))
    before = {SCARCE: scenario.scarce}
    wanted = {line.sku for command in played.commands for line in command.checkout.lines}
    stock = {
        one.sku: (one.available - before.get(one.sku, PLENTY), one.reserved, one.committed)
        for one in played.world.databases["inventory"].items.values()
        if one.sku in wanted
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

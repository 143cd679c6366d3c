"""What must be true: at every moment (`safety`), and once everything is healed and drained (`finality`).

The numbers: 1 every accepted order exists once, 2 all are settled, 3 completed means that all is done, 4 cancelled that
all is undone, 5 stock and 6 money are conserved, 7 there is no orphan, 8 nothing is left over, 9 each history is valid
and each cause precedes its effect, 10 clients were told the truth.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from checkout.messages import OrderConfirmed
from inventory_service.domain import Reservation
from order_service.domain import CANCELLED, COMPLETED, NEW, PENDING, Order
from payment_service.domain import Payment
from sagakit.message import message_id
from shipping_service.domain import Shipment
from tests.simulation.memory import Record
from tests.simulation.world import World


class Violation(NamedTuple):
    """A broken invariant, by number, and what broke it."""

    invariant: int
    what: str


_SETTLED: Final = r"(\w+Settled ){2}"
_PATHS: Final[Mapping[str, re.Pattern[str]]] = {
    "order": re.compile(
        rf"OrderPlaced (OrderConfirmed {_SETTLED}OrderCompleted|OrderCancelled {_SETTLED}CancellationSettled) "
    ),
    "inventory": re.compile(
        r"StockReserved (StockCommitted|StockReleased) |StockRejected StockReleased |StockReleased (StockRejected )?"
    ),
    "payment": re.compile(
        r"PaymentAuthorizationRequested (PaymentAuthorized "
        r"(PaymentCaptureRequested PaymentCaptured|PaymentVoidRequested PaymentVoided) "
        r"|PaymentDeclined PaymentVoided |PaymentVoidDeferred (PaymentVoidRequested )?PaymentVoided )"
        r"|PaymentVoided (PaymentDeclined )?"
    ),
    "shipping": re.compile(
        r"ShipmentBookingRequested (ShipmentBooked "
        r"(ShipmentDispatchRequested ShipmentDispatched|ShipmentCancellationRequested ShipmentCancelled) "
        r"|ShipmentRefused ShipmentCancelled "
        r"|ShipmentCancellationDeferred (ShipmentCancellationRequested )?ShipmentCancelled )"
        r"|ShipmentCancelled (ShipmentRefused )?"
    ),
}


def safety(world: World) -> Iterator[Violation]:
    """The violations that a world must never have."""
    for sku, item in world.databases["inventory"].items.items():
        reserved = sum(row.lines.get(sku, 0) for row in _reservations(world) if row.status == "RESERVED")
        if min(item.available, item.reserved, item.committed) < 0 or item.reserved != reserved:
            yield Violation(5, f"{item} with {reserved} in open reservations")
        if item.available + item.reserved + item.committed != item.received:
            yield Violation(5, f"{item} does not add up")
    for deed, count in Counter((deed.order_id, deed.operation) for deed in world.outside.ledger).items():
        if count > 1:
            yield Violation(6, f"{deed} happened {count} times at the provider")
    for order in _orders(world):
        if order.settled:
            yield from _done(world, order) if order.status == COMPLETED else _undone(world, order)
        for answer in world.told.get(order.order_id, ()):
            if (order.status == CANCELLED) == isinstance(answer, OrderConfirmed):
                yield Violation(10, f"a client was told {answer}, but the order is {order.status}")


def finality(world: World) -> list[Violation]:
    """The violations of a healed and drained world, with those of `safety`."""
    violations = list(safety(world))
    keys = Counter(order.idempotency_key for order in _orders(world))
    violations += [Violation(1, f"{key} led to {count} orders") for key, count in keys.items() if count > 1]
    for order in _orders(world):
        if not (order.settled and order.status in (COMPLETED, CANCELLED)):
            violations.append(Violation(2, f"{order.order_id} ends {order.status}, settled: {order.settled}"))
        captured = sum(deed.amount[0] for deed in world.outside.deeds(order.order_id, "capture") if deed.amount)
        assert order.checkout is not None
        if captured != (order.checkout.total.amount if order.status == COMPLETED else 0):
            violations.append(Violation(6, f"{captured} captured for {order}"))
    violations += _orphans(world)
    violations += _leftovers(world)
    violations += _histories(world)
    return violations


def overdue(world: World) -> list[Violation]:
    """The violations once every order's deadline has passed, whatever was lost."""
    return [
        Violation(2, f"{order.order_id} is PENDING after its deadline")
        for order in _orders(world)
        if order.status == PENDING
    ]


def _orders(world: World) -> list[Order]:
    return [order for order in world.databases["order"].states.values() if order.status != NEW]


def _reservations(world: World) -> list[Reservation]:
    return list(world.databases["inventory"].states.values())


def _parts(world: World, order_id: str) -> tuple[Reservation, Payment, Shipment]:
    inventory, payment, shipping = (world.databases[name].states for name in ("inventory", "payment", "shipping"))
    return (
        inventory.get(order_id) or Reservation(order_id),
        payment.get(order_id) or Payment(order_id),
        shipping.get(order_id) or Shipment(order_id),
    )


def _done(world: World, order: Order) -> Iterator[Violation]:
    reservation, payment, shipment = _parts(world, order.order_id)
    assert order.checkout is not None
    ordered: Counter[str] = Counter()
    for line in order.checkout.lines:
        ordered[line.sku] += line.quantity
    if reservation.status != "COMMITTED" or reservation.lines != ordered:
        yield Violation(3, f"{order.order_id} is COMPLETED with {reservation}")
    if payment.status != "CAPTURED" or payment.open or not _as_ordered(payment, order):
        yield Violation(3, f"{order.order_id} is COMPLETED with {payment}")
    if shipment.status != "DISPATCHED" or shipment.open or not _as_ordered(shipment, order):
        yield Violation(3, f"{order.order_id} is COMPLETED with {shipment}")
    total = (order.checkout.total.amount, order.checkout.total.currency)
    if [deed.amount for deed in world.outside.deeds(order.order_id, "capture")] != [total]:
        yield Violation(6, f"{order.order_id} is COMPLETED, but the provider has not captured {total} once")
    if len(world.outside.deeds(order.order_id, "dispatch")) != 1:
        yield Violation(3, f"{order.order_id} is COMPLETED, but the carrier has not collected it once")


def _as_ordered(part: Payment | Shipment, order: Order) -> bool:
    """Whether its checkout is the order's; a pruned one has none any more."""
    return part.checkout is None if part.pruned else part.checkout == order.checkout


def _undone(world: World, order: Order) -> Iterator[Violation]:
    reservation, payment, shipment = _parts(world, order.order_id)
    if reservation.status not in ("NEW", "REJECTED", "RELEASED"):
        yield Violation(4, f"{order.order_id} is CANCELLED with {reservation}")
    if payment.status not in ("NEW", "DECLINED", "VOIDED") or payment.open:
        yield Violation(4, f"{order.order_id} is CANCELLED with {payment}")
    if shipment.status not in ("NEW", "REFUSED", "CANCELLED") or shipment.open:
        yield Violation(4, f"{order.order_id} is CANCELLED with {shipment}")
    for hold, end, invariant in (("authorize", "void", 6), ("book", "cancel", 4)):
        if len(world.outside.deeds(order.order_id, hold)) != len(world.outside.deeds(order.order_id, end)):
            yield Violation(invariant, f"{order.order_id} is CANCELLED, but its {hold} is open at the provider")


def _orphans(world: World) -> list[Violation]:
    order_ids = {order.order_id for order in _orders(world)}
    rows = [(name, key) for name in ("inventory", "payment", "shipping") for key in world.databases[name].states]
    rows += [("provider", deed.order_id) for deed in world.outside.ledger]
    return [Violation(7, f"{name} knows {key}, order does not") for name, key in rows if key not in order_ids]


def _leftovers(world: World) -> list[Violation]:
    violations = [Violation(8, f"dead letter: {letter}") for letter in world.dead]
    violations += [Violation(8, f"rejected by the provider: {key}") for key in world.outside.rejected]
    violations += [Violation(8, f"never delivered: {key}") for key in world.network]
    for name, database in world.databases.items():
        violations += [Violation(8, f"left in the outbox of {name}: {key}") for key in database.outbox]
        effects = {record.entry.command for record in database.history()}
        violations += [
            Violation(8, f"{key} was claimed in {name} without effect") for key in database.inbox.keys() - effects
        ]
    return violations


def _histories(world: World) -> list[Violation]:
    violations = [Violation(9, lie) for lie in world.lies]
    first: dict[str, Record] = {}
    for name, database in world.databases.items():
        names: dict[str, str] = {}
        for record in database.history():
            event = record.entry.event
            kind, identity = type(event).__name__, message_id(event)
            if identity not in first:
                first[identity] = record
                names[event.subject] = names.get(event.subject, "") + kind + " "
            elif first[identity].entry.event != event or kind not in ("OrderConfirmed", "OrderCancelled"):
                violations.append(Violation(9, f"{identity} was recorded twice"))
        violations += [
            Violation(9, f"{name} went {path}for {subject}")
            for subject, path in names.items()
            if not _PATHS[name].fullmatch(path)
        ]
    for database in world.databases.values():
        for record in database.history():
            claim = database.inbox.get(record.entry.command)
            if claim is None or claim.cause is None or claim.cause in world.outside.answers:
                continue
            cause = first.get(claim.cause)
            if claim.cause != claim.id and (cause is None or cause.tick >= record.tick):
                violations.append(Violation(9, f"{claim.id} came before its cause {claim.cause}"))
    return violations

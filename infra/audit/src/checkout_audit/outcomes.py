"""Invariants 3 and 4: what the order says, all participants and the carrier have done, once and as ordered."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from checkout.messages import Checkout
from checkout_audit.invariant import Violation
from checkout_audit.snapshot import OrderEvidence, Snapshot
from inventory_service import domain as inventory
from order_service.domain import CANCELLED, COMPLETED
from payment_service import domain as payment
from shipping_service import domain as shipping

UNDONE_STOCK: Final = (inventory.REJECTED, inventory.RELEASED)
UNDONE_PAYMENT: Final = (payment.DECLINED, payment.VOIDED)
UNDONE_SHIPMENT: Final = (shipping.REFUSED, shipping.CANCELLED)


def completed_means_done(snapshot: Snapshot) -> list[Violation]:
    """3: COMPLETED if and only if committed, captured and dispatched, each once, and exactly what was ordered."""
    found: list[Violation] = []
    for case in snapshot.cases.values():
        if case.status == COMPLETED:
            found += [Violation(case.subject, what) for what in _not_done(case)]
        elif case.status not in (None, CANCELLED):
            found += [Violation(case.subject, f"is {case.status}, but {what}") for what in _done_early(case)]
        found += [
            Violation(case.subject, f"the carrier was asked to {operation} {count} times")
            for operation in ("book", "dispatch", "cancel")
            if (count := len(case.effects("carrier", operation, None))) > 1
        ]
    return found


def _not_done(case: OrderEvidence) -> Iterator[str]:
    reservation, paid, shipment = case.reservation, case.payment, case.shipment
    done = {
        "stock": (reservation.status if reservation else None, inventory.COMMITTED),
        "payment": (paid.state.status if paid else None, payment.CAPTURED),
        "shipment": (shipment.status if shipment else None, shipping.DISPATCHED),
    }
    for part, (status, wanted) in done.items():
        if status != wanted:
            yield f"is COMPLETED, but its {part} is {status or 'absent'}, not {wanted}"
    if (paid and paid.state.open) or (shipment and shipment.open):
        yield "is COMPLETED, but a call to a provider is under way"
    for operation, count in (("book", 1), ("dispatch", 1), ("cancel", 0)):
        actual = len(case.effects("carrier", operation))
        if actual != count and "carrier" not in case.unseen:
            yield f"is COMPLETED, but the carrier has {actual} x {operation} ok on its ledger, not {count}"
    for service, event in (
        ("inventory", "StockReleased"),
        ("payment", "PaymentVoided"),
        ("shipping", "ShipmentCancelled"),
    ):
        if case.recorded(service, event):
            yield f"is COMPLETED, but {event} is on record"
    assert case.order is not None
    if (checkout := case.order.state.checkout) is None:
        yield "is COMPLETED without lines"
    else:
        yield from _not_as_ordered(case, checkout)


def _not_as_ordered(case: OrderEvidence, checkout: Checkout) -> Iterator[str]:
    if case.order and case.order.customer != checkout.customer:
        yield f"belongs to {case.order.customer}, but was ordered by {checkout.customer}"
    if {line.unit_price.currency for line in checkout.lines} != {
        checkout.total.currency
    } or checkout.total.amount != sum(line.quantity * line.unit_price.amount for line in checkout.lines):
        yield "has a total that is not the sum of its lines"
    wanted = lines_of(checkout)
    if case.reservation and dict(case.reservation.lines) != wanted:
        yield f"was ordered as {wanted}, but the stock committed is {dict(case.reservation.lines)}"
    if case.payment:
        total, charged = checkout.total, (case.payment.amount, case.payment.currency)
        if charged != (total.amount, total.currency):
            yield f"costs {total.amount} {total.currency}, but the payment is of {charged[0]} {charged[1]}"
        if case.payment.state.checkout != checkout:
            yield "has another checkout in payment than in order"
    if case.shipment:
        sent = case.shipment.checkout
        if sent is None or sent.address != checkout.address:
            yield "was sent to another address than ordered"
        if sent is not None and sent.lines != checkout.lines:
            yield "was sent with other lines than ordered"
        if sent is not None and (sent.payment_token, sent.total) != (checkout.payment_token, checkout.total):
            yield "has another checkout in shipping than in order"


def lines_of(checkout: Checkout) -> dict[str, int]:
    """How many of each SKU."""
    wanted: Counter[str] = Counter()
    for line in checkout.lines:
        wanted[line.sku] += line.quantity
    return dict(wanted)


def _done(case: OrderEvidence) -> list[str]:
    done = []
    if case.reservation and case.reservation.status == inventory.COMMITTED:
        done.append("stock committed")
    if case.payment and case.payment.state.status == payment.CAPTURED:
        done.append("payment captured")
    if case.shipment and case.shipment.status == shipping.DISPATCHED:
        done.append("shipment dispatched")
    return done


def _done_early(case: OrderEvidence) -> Iterator[str]:
    done = _done(case)
    if case.status == "PENDING":
        yield from (f"its {part} already" for part in done)
    elif len(done) == 3:
        yield "everything is done"


def cancelled_means_undone(snapshot: Snapshot) -> list[Violation]:
    """4: CANCELLED if and only if nothing is held, committed, charged, booked or sent."""
    found: list[Violation] = []
    for case in snapshot.cases.values():
        if case.status == CANCELLED:
            found += [Violation(case.subject, what) for what in _not_undone(case)]
        elif case.status is not None:
            found += [Violation(case.subject, f"is {case.status}, but its {part}") for part in _undone(case)]
    return found


def _not_undone(case: OrderEvidence) -> Iterator[str]:
    reservation, paid, shipment = case.reservation, case.payment, case.shipment
    if reservation and reservation.status not in UNDONE_STOCK:
        yield f"is CANCELLED, but its stock is {reservation.status}"
    if paid and paid.state.status not in UNDONE_PAYMENT:
        yield f"is CANCELLED, but its payment is {paid.state.status}"
    if shipment and shipment.status not in UNDONE_SHIPMENT:
        yield f"is CANCELLED, but its shipment is {shipment.status}"
    if (paid and paid.state.open) or (shipment and shipment.open):
        yield "is CANCELLED, but a call to a provider is under way"
    booked, cancelled = (len(case.effects("carrier", operation)) for operation in ("book", "cancel"))
    if booked > cancelled:
        yield "is CANCELLED, but the carrier still has a booking on its ledger"
    if cancelled > booked:
        yield "is CANCELLED, and the carrier gave up a booking that it never had"
    if case.effects("carrier", "dispatch"):
        yield "is CANCELLED, but the carrier has dispatched it"
    assert case.order is not None
    if case.order.state.settled:
        closed = {
            "stock": bool(reservation and reservation.closed),
            "payment": bool(paid and paid.state.closed),
            "shipment": bool(shipment and shipment.closed),
        }
        for part in (part for part, is_closed in closed.items() if not is_closed):
            yield f"is CANCELLED and settled, but its {part} was never undone"


def _undone(case: OrderEvidence) -> Iterator[str]:
    if case.reservation and case.reservation.closed and case.reservation.status in UNDONE_STOCK:
        yield f"stock is {case.reservation.status} and closed"
    if case.payment and case.payment.state.closed:
        yield f"payment is {case.payment.state.status} and closed"
    if case.shipment and case.shipment.closed:
        yield f"shipment is {case.shipment.status} and closed"

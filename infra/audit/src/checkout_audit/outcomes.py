"""Invariants 3 and 4: what the order says, all participants and the carrier have done, once and as ordered."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from checkout.messages import Checkout
from checkout_audit.rows import PaymentRow
from checkout_audit.snapshot import OrderEvidence, Snapshot, Violation
from inventory_service import domain as inventory
from order_service.domain import CANCELLED, COMPLETED
from payment_service import domain as payment
from shipping_service import domain as shipping

UNDONE_STOCK: Final = (inventory.REJECTED, inventory.RELEASED)
UNDONE_PAYMENT: Final = (payment.DECLINED, payment.VOIDED)
UNDONE_SHIPMENT: Final = (shipping.REFUSED, shipping.CANCELLED)


def completed_means_done(snapshot: Snapshot) -> list[Violation]:
    """3: COMPLETED if and only if committed, captured and dispatched, each once, and exactly what was ordered."""
    violations: list[Violation] = []
    for evidence in snapshot.evidence.values():
        if evidence.status == COMPLETED:
            violations += [Violation(evidence.subject, what) for what in _not_done(evidence)]
        elif evidence.status not in (None, CANCELLED):
            violations += [
                Violation(evidence.subject, f"is {evidence.status}, but {what}") for what in _done_early(evidence)
            ]
        violations += [
            Violation(evidence.subject, f"the carrier was asked to {operation} {count} times")
            for operation in ("book", "dispatch", "cancel")
            if (count := len(evidence.effects("carrier", operation, None))) > 1
        ]
    return violations


def _not_done(evidence: OrderEvidence) -> Iterator[str]:
    reservation, paid, shipment = evidence.reservation, evidence.payment, evidence.shipment
    statuses = {
        "stock": (reservation.status if reservation else None, inventory.COMMITTED),
        "payment": (paid.state.status if paid else None, payment.CAPTURED),
        "shipment": (shipment.status if shipment else None, shipping.DISPATCHED),
    }
    for part, (status, expected) in statuses.items():
        if status != expected:
            yield f"is COMPLETED, but its {part} is {status or 'absent'}, not {expected}"
    if (paid and paid.state.open) or (shipment and shipment.open):
        yield "is COMPLETED, but a call to a provider is under way"
    for operation, count in (("book", 1), ("dispatch", 1), ("cancel", 0)):
        actual = len(evidence.effects("carrier", operation))
        if actual != count and "carrier" not in evidence.unread:
            yield f"is COMPLETED, but the carrier has {actual} x {operation} ok on its ledger, not {count}"
    for service, event in (
        ("inventory", "StockReleased"),
        ("payment", "PaymentVoided"),
        ("shipping", "ShipmentCancelled"),
    ):
        if evidence.recorded(service, event):
            yield f"is COMPLETED, but {event} is on record"
    assert evidence.order is not None
    if (checkout := evidence.order.state.checkout) is None:
        yield "is COMPLETED without lines"
    else:
        yield from _not_as_ordered(evidence, checkout)


def _not_as_ordered(evidence: OrderEvidence, checkout: Checkout) -> Iterator[str]:
    if evidence.order and evidence.order.customer != checkout.customer:
        yield f"belongs to {evidence.order.customer}, but was ordered by {checkout.customer}"
    if not adds_up(checkout):
        yield "has a total that is not the sum of its lines"
    ordered = lines_of(checkout)
    if evidence.reservation and dict(evidence.reservation.lines) != ordered:
        yield f"was ordered as {ordered}, but the stock committed is {dict(evidence.reservation.lines)}"
    if evidence.payment:
        yield from _not_charged_as_ordered(evidence.payment, checkout)
    if evidence.shipment and not evidence.shipment.pruned:
        yield from _not_sent_as_ordered(evidence.shipment.checkout, checkout)


def adds_up(checkout: Checkout) -> bool:
    """Whether the total is the sum of the lines, in their currency."""
    total = sum(line.quantity * line.unit_price.amount for line in checkout.lines)
    currencies = {line.unit_price.currency for line in checkout.lines}
    return checkout.total.amount == total and currencies == {checkout.total.currency}


def _not_charged_as_ordered(paid: PaymentRow, checkout: Checkout) -> Iterator[str]:
    total = checkout.total
    if (paid.amount, paid.currency) != (total.amount, total.currency):
        yield f"costs {total.amount} {total.currency}, but the payment is of {paid.amount} {paid.currency}"
    if paid.state.checkout != checkout and not paid.state.pruned:
        yield "has another checkout in payment than in order"


def _not_sent_as_ordered(sent: Checkout | None, checkout: Checkout) -> Iterator[str]:
    if sent is None or sent.address != checkout.address:
        yield "was sent to another address than ordered"
    if sent is not None and sent.lines != checkout.lines:
        yield "was sent with other lines than ordered"
    if sent is not None and (sent.payment_token, sent.total) != (checkout.payment_token, checkout.total):
        yield "has another checkout in shipping than in order"


def lines_of(checkout: Checkout) -> dict[str, int]:
    """The quantity of each SKU."""
    quantities: Counter[str] = Counter()
    for line in checkout.lines:
        quantities[line.sku] += line.quantity
    return dict(quantities)


def _done(evidence: OrderEvidence) -> list[str]:
    done = []
    if evidence.reservation and evidence.reservation.status == inventory.COMMITTED:
        done.append("stock committed")
    if evidence.payment and evidence.payment.state.status == payment.CAPTURED:
        done.append("payment captured")
    if evidence.shipment and evidence.shipment.status == shipping.DISPATCHED:
        done.append("shipment dispatched")
    return done


def _done_early(evidence: OrderEvidence) -> Iterator[str]:
    done = _done(evidence)
    if evidence.status == "PENDING":
        yield from (f"its {part} already" for part in done)
    elif len(done) == 3:
        yield "everything is done"


def cancelled_means_undone(snapshot: Snapshot) -> list[Violation]:
    """4: CANCELLED if and only if nothing is held, committed, charged, booked or sent."""
    violations: list[Violation] = []
    for evidence in snapshot.evidence.values():
        if evidence.status == CANCELLED:
            violations += [Violation(evidence.subject, what) for what in _not_undone(evidence)]
        elif evidence.status is not None:
            violations += [
                Violation(evidence.subject, f"is {evidence.status}, but its {part}") for part in _undone(evidence)
            ]
    return violations


def _not_undone(evidence: OrderEvidence) -> Iterator[str]:
    reservation, paid, shipment = evidence.reservation, evidence.payment, evidence.shipment
    if reservation and reservation.status not in UNDONE_STOCK:
        yield f"is CANCELLED, but its stock is {reservation.status}"
    if paid and paid.state.status not in UNDONE_PAYMENT:
        yield f"is CANCELLED, but its payment is {paid.state.status}"
    if shipment and shipment.status not in UNDONE_SHIPMENT:
        yield f"is CANCELLED, but its shipment is {shipment.status}"
    if (paid and paid.state.open) or (shipment and shipment.open):
        yield "is CANCELLED, but a call to a provider is under way"
    booked, cancelled = (len(evidence.effects("carrier", operation)) for operation in ("book", "cancel"))
    if booked > cancelled:
        yield "is CANCELLED, but the carrier still has a booking on its ledger"
    if cancelled > booked:
        yield "is CANCELLED, and the carrier gave up a booking that it never had"
    if evidence.effects("carrier", "dispatch"):
        yield "is CANCELLED, but the carrier has dispatched it"
    assert evidence.order is not None
    if evidence.order.state.settled:
        closed = {
            "stock": bool(reservation and reservation.closed),
            "payment": bool(paid and paid.state.closed),
            "shipment": bool(shipment and shipment.closed),
        }
        for part in (part for part, is_closed in closed.items() if not is_closed):
            yield f"is CANCELLED and settled, but its {part} was never undone"


def _undone(evidence: OrderEvidence) -> Iterator[str]:
    if evidence.reservation and evidence.reservation.closed and evidence.reservation.status in UNDONE_STOCK:
        yield f"stock is {evidence.reservation.status} and closed"
    if evidence.payment and evidence.payment.state.closed:
        yield f"payment is {evidence.payment.state.status} and closed"
    if evidence.shipment and evidence.shipment.closed:
        yield f"shipment is {evidence.shipment.status} and closed"

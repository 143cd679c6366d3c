"""Single defects put into a consistent snapshot, each with the invariant that must catch it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import structs

from checkout.messages import Address, Money, StockCommitted
from checkout_audit.rows import DeadLetterRow, InboxRow, JournalRow, OutboxRow
from checkout_audit.snapshot import Snapshot
from inventory_service.domain import Reservation
from shipping_service.domain import Shipment
from tests.unit.checkout_audit.edits import (
    EUR,
    LONG_AGO,
    Mutation,
    add_row,
    again,
    claim,
    entry,
    event,
    ledger,
    more,
    order,
    payment,
    reservation,
    shipment,
    stock,
    told,
    told_only,
    twice,
    without,
)

LATER = datetime(2040, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Mutant:
    """`caught_by`: the number of the invariant that must be violated by the mutation of a clean snapshot."""

    name: str
    caught_by: int
    mutate: Mutation


ELSEWHERE = Address("Somebody", "2 Other St", "Riga", "LV-1010", "LV")


def _moved(clean: Snapshot) -> Snapshot:
    sent = next(row for row in clean.shipments if row.order_id == "completed")
    assert sent.checkout
    return shipment("completed", checkout=structs.replace(sent.checkout, address=ELSEWHERE))(clean)


def _resealed(clean: Snapshot) -> Snapshot:
    sent = next(row for row in clean.shipments if row.order_id == "completed")
    assert sent.checkout
    return shipment("completed", checkout=structs.replace(sent.checkout, payment_token="sealed:again"))(clean)


def _miscalculated(clean: Snapshot) -> Snapshot:
    row = next(row for row in clean.orders if row.order_id == "completed")
    assert row.state.checkout
    return order("completed", checkout=structs.replace(row.state.checkout, total=Money(1, EUR)))(clean)


def outgoing(identity: str, is_call: bool) -> OutboxRow:
    return OutboxRow(identity, "somewhere", is_call, 3, LONG_AGO)


COMMITTED_EARLY = JournalRow(
    "sold-out/StockCommitted",
    9999,
    "sold-out",
    "StockCommitted",
    "sold-out/CommitStock",
    StockCommitted("sold-out"),
    LONG_AGO,
)

MUTANTS = (
    Mutant("an accepted order is lost", 1, without("orders", "completed")),
    Mutant("an accepted order is no more than a placeholder", 1, order("declined", status="NEW")),
    Mutant("an order exists twice", 1, twice("orders", "completed")),
    Mutant("one key has two orders", 1, order("commanded", idempotency_key="key-completed")),
    Mutant("an order lost its key", 1, order("completed", idempotency_key="")),
    Mutant("an order was never accepted", 1, twice("orders", "completed", order_id="ghost")),
    Mutant("an order is left PENDING", 2, order("declined", status="PENDING", cancellation_reason=None)),
    Mutant("an order is left CONFIRMED", 2, order("completed", status="CONFIRMED")),
    Mutant("a cancellation is unsettled", 2, order("withdrawn", payment_settled=False, settled=False)),
    Mutant("the settled column lies", 2, order("completed", settled=False)),
    Mutant("a cancellation without a reason", 2, order("overdue", cancellation_reason=None)),
    Mutant("a completed order has a reason to be cancelled", 2, order("completed", cancellation_reason="TIMED_OUT")),
    Mutant("completed, but the stock is only reserved", 3, reservation("completed", status="RESERVED", closed=False)),
    Mutant("completed, but there is no reservation", 3, without("reservations", "completed")),
    Mutant("completed, but never captured", 3, payment("completed", status="AUTHORIZED")),
    Mutant("completed, but never dispatched", 3, shipment("completed", status="BOOKED")),
    Mutant("other stock committed than ordered", 3, reservation("completed", lines={"cup": 2})),
    Mutant("another amount charged than ordered", 3, payment("completed", amount=1)),
    Mutant("another currency charged than ordered", 3, payment("completed", currency="USD")),
    Mutant("sent to another address", 3, _moved),
    Mutant("sealed twice on the way to shipping", 3, _resealed),
    Mutant("the total is not the sum of the lines", 3, _miscalculated),
    Mutant("dispatched twice", 3, more(ledger=entry("completed", "dispatch"))),
    Mutant("completed, but the carrier knows nothing", 3, ledger("completed/dispatch")),
    Mutant("completed, and a call is still open", 3, payment("completed", open=True)),
    Mutant("everything done, but the order says CONFIRMED", 3, order("completed", status="CONFIRMED", settled=False)),
    Mutant("cancelled, but the stock is held", 4, reservation("declined", status="RESERVED", closed=False)),
    Mutant("cancelled, but the stock is committed", 4, reservation("late-yes", status="COMMITTED")),
    Mutant("cancelled, but charged", 4, payment("withdrawn", status="CAPTURED")),
    Mutant("cancelled, but still authorized", 4, payment("lost-confirm", status="AUTHORIZED", closed=False)),
    Mutant("cancelled, but sent", 4, shipment("late-booking", status="DISPATCHED")),
    Mutant("cancelled, but the carrier has dispatched", 4, more(ledger=entry("lost-confirm", "dispatch"))),
    Mutant("cancelled, but the booking stands", 4, ledger("late-booking/cancel")),
    Mutant("cancelled, and a participant was forgotten", 4, without("shipments", "overdue")),
    Mutant("the order of what was undone says PENDING", 4, order("declined", status="PENDING")),
    Mutant("stock appears from nowhere", 5, stock("cup", available=1)),
    Mutant("stock is sold twice", 5, stock("beans", available=-1, committed=1)),
    Mutant("stock stays reserved for nobody", 5, stock("cup", available=-3, reserved=3)),
    Mutant("a restock is lost", 5, stock("cup", received=-7, available=-7)),
    Mutant("oversold", 5, stock("rare", available=-2, committed=2)),
    Mutant("a reservation of what is not sold", 5, reservation("completed", lines={"unicorn": 1})),
    Mutant("captured twice", 6, more(ledger=entry("completed", "capture"))),
    Mutant("authorized twice", 6, more(ledger=entry("declined", "authorize"))),
    Mutant("captured for a cancelled order", 6, more(ledger=entry("withdrawn", "capture"))),
    Mutant("never captured at the provider", 6, ledger("completed/capture")),
    Mutant("another amount captured", 6, ledger("completed/capture", amount=Money(3599, EUR))),
    Mutant("another currency authorized", 6, ledger("completed/authorize", amount=Money(3600, "USD"))),
    Mutant("an authorization is left open", 6, ledger("late-yes/void")),
    Mutant("captured without an authorization", 6, ledger("instant/authorize")),
    Mutant("called under a random key", 6, ledger("completed/capture", key="0b0d51c6")),
    Mutant("a reservation without an order", 7, more(reservations=Reservation("ghost", "RESERVED", {"cup": 1}))),
    Mutant("a payment without an order", 7, twice("payments", "completed", order_id="ghost")),
    Mutant("a shipment without an order", 7, twice("shipments", "declined", order_id="ghost", status="BOOKED")),
    Mutant("money without an order", 7, more(ledger=entry("ghost", "authorize"))),
    Mutant("the order of everything is lost", 7, without("orders", "single")),
    Mutant("a placeholder stays behind a settled order", 7, shipment("overdue", status="NEW", closed=False)),
    Mutant("a message is stuck", 8, add_row("order", "outbox", outgoing("completed/OrderPlaced", False))),
    Mutant("a call is stuck", 8, add_row("payment", "outbox", outgoing("completed/capture", True))),
    Mutant("a dead letter is open", 8, add_row("shipping", "dead_letters", DeadLetterRow("f00", "poison", LONG_AGO))),
    Mutant("a claim without effect", 8, event("inventory", "completed/StockCommitted")),
    Mutant("a lost claim without a decision", 8, event("order", "lost-confirm/OrderCancelled")),
    Mutant("a claim that means nothing", 8, add_row("payment", "inbox", InboxRow("completed/Refund", None, LONG_AGO))),
    Mutant("an event is recorded twice", 9, again("payment", "completed/PaymentCaptured", seq=99_999)),
    Mutant("an event is missing", 9, event("payment", "completed/PaymentAuthorized")),
    Mutant("the first event is missing", 9, event("order", "overdue/OrderPlaced")),
    Mutant("two events in the wrong order", 9, event("shipping", "completed/ShipmentBooked", seq=99_999)),
    Mutant("an event that cannot follow", 9, add_row("inventory", "journal", COMMITTED_EARLY)),
    Mutant("an event that cannot be read", 9, event("order", "completed/OrderConfirmed", event=None)),
    Mutant("the row is not where its history leads", 9, reservation("withdrawn", status="REJECTED")),
    Mutant("a row without history", 9, more(shipments=Shipment("ghost", "CANCELLED", closed=True))),
    Mutant("an effect without a claim", 9, claim("payment", "completed/CapturePayment")),
    Mutant("an answer without a claim", 9, claim("payment", "completed/RecordCapture")),
    Mutant(
        "an effect of the wrong command",
        9,
        event("order", "completed/OrderCompleted", command="completed/PlaceOrder"),
    ),
    Mutant("a step before its cause", 9, claim("payment", "completed/AuthorizePayment", claimed_at=LONG_AGO)),
    Mutant(
        "a commanded step before any cause",
        9,
        claim("shipping", "commanded/BookShipment", claimed_at=LONG_AGO),
    ),
    Mutant("a cause that was never recorded", 9, event("inventory", "completed/StockReserved")),
    Mutant("a step without a cause", 9, claim("inventory", "completed/CommitStock", cause=None)),
    Mutant(
        "a cause that leads elsewhere",
        9,
        claim("inventory", "completed/CommitStock", cause="completed/OrderPlaced"),
    ),
    Mutant(
        "a cause in another order",
        9,
        claim("inventory", "completed/CommitStock", cause="instant/OrderConfirmed"),
    ),
    Mutant("an effect before its claim", 9, event("order", "declined/OrderCancelled", recorded_at=LONG_AGO)),
    Mutant("an answer before the provider gave it", 9, ledger("completed/capture", at=LATER)),
    Mutant("an answer that the provider never gave", 9, ledger("declined/authorize", outcome="ok")),
    Mutant("a refusal that nobody gave", 9, event("payment", "declined/PaymentDeclined")),
    Mutant("a client was told COMPLETED, it is CANCELLED", 10, order("completed", status="CANCELLED")),
    Mutant(
        "a client was told CANCELLED, it is COMPLETED",
        10,
        told(key="key-completed", order_id="completed", answer="CANCELLED"),
    ),
    Mutant("an accepted order is missing to its client", 10, told(key="key-x", order_id="x", answer="accepted")),
    Mutant("an order accepted by key is missing", 10, told(key="key-x", order_id=None, answer="accepted")),
    Mutant(
        "a client was told of two orders under a key",
        10,
        told(key="key-completed", order_id="single", answer="accepted"),
    ),
    Mutant(
        "a client was told of an order of another key", 10, told(key="other", order_id="completed", answer="accepted")
    ),
    Mutant(
        "the order of a lost answer ended otherwise", 10, told(key="key-overdue", order_id=None, answer="COMPLETED")
    ),
    Mutant("an order that was refused exists", 10, told_only("key-declined", None, "refused")),
    Mutant(
        "a customer was told that it is too late to cancel, and it was cancelled for them",
        10,
        told_only("key-withdrawn", "withdrawn", "not cancelled"),
    ),
    Mutant(
        "an order that could not be cancelled is missing", 10, told(key="key-x", order_id="x", answer="not cancelled")
    ),
)

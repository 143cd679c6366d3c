"""Invariants 7 and 8: nothing exists without its order, and no work is left undone."""

from collections.abc import Iterator

from checkout_audit.commands import COMMANDS, CONTESTED, ENDED_CALL
from checkout_audit.rows import Records, name_of, subject_of
from checkout_audit.snapshot import OrderEvidence, Snapshot, Violation
from inventory_service.domain import RELEASED
from payment_service.domain import VOIDED
from shipping_service.domain import CANCELLED


def no_orphans(snapshot: Snapshot) -> list[Violation]:
    """7: a reservation, payment, shipment or provider's entry has its order. A tombstone counts as nothing."""
    return [Violation(evidence.subject, what) for evidence in snapshot.evidence.values() for what in _orphans(evidence)]


def _orphans(evidence: OrderEvidence) -> Iterator[str]:
    order = evidence.order
    for service in evidence.placeholders:
        if order is None:
            yield f"{service} has an empty row for it, and there is no such order"
        elif order.state.settled:
            yield f"{service} has no more than an empty row for it, and the order is settled"
    if order is not None:
        return
    reservation, payment, shipment = evidence.reservation, evidence.payment, evidence.shipment
    if reservation and not (reservation.status == RELEASED and not reservation.lines):
        yield f"there is a reservation ({reservation.status}), but no such order"
    if payment and not (payment.state.status == VOIDED and payment.amount is None):
        yield f"there is a payment ({payment.state.status}), but no such order"
    if shipment and not (shipment.status == CANCELLED and shipment.checkout is None):
        yield f"there is a shipment ({shipment.status}), but no such order"
    for row in evidence.ledger:
        yield f"the {row.provider} provider has an entry ({row.operation} {row.outcome}), but there is no such order"


def nothing_left(snapshot: Snapshot) -> list[Violation]:
    """8: outboxes are empty, every claim had its effect, and no dead letter is unaccounted for."""
    without_effect = (
        found for service, records in snapshot.services.items() for found in _without_effect(service, records)
    )
    return [*work_left(snapshot), *without_effect]


def work_left(snapshot: Snapshot) -> list[Violation]:
    """The part of 8 that concerns outboxes and dead letters.

    A call that an operator has ended may still be in the outbox: it is retried, and undone if it succeeds.
    """
    violations: list[Violation] = []
    for service, records in snapshot.services.items():
        ended_calls = {
            f"{subject_of(claim.id)}/{ENDED_CALL[name]}"
            for claim in records.inbox
            if (name := name_of(claim.id)) in ENDED_CALL
        }
        for row in records.outbox:
            if row.is_call and row.id in ended_calls:
                continue
            kind = "call" if row.is_call else "message"
            since = row.created_at.isoformat(timespec="seconds")
            what = f"a {kind} is in the outbox of {service} since {since}, {row.attempts} attempts"
            violations.append(Violation(row.id, what))
        for letter in records.dead_letters:
            if letter.id not in snapshot.accounted:
                violations.append(Violation(letter.id, f"a dead letter of {service}: {letter.cause[:200]}"))
    return violations


def _without_effect(service: str, records: Records) -> Iterator[Violation]:
    effects = {row.command for row in records.journal}
    decided = {row.subject for row in records.journal if row.name in ("OrderConfirmed", "OrderCancelled")}
    for claim in records.inbox:
        name = name_of(claim.id)
        if name not in COMMANDS[service]:
            yield Violation(claim.id, f"is claimed in the inbox of {service}, which knows no such command")
        elif claim.id not in effects and not (name in CONTESTED and subject_of(claim.id) in decided):
            yield Violation(claim.id, f"is claimed in the inbox of {service}, but had no effect")

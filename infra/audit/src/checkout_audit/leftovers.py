"""Invariants 7 and 8: nothing belongs to nobody, and nothing is left lying about."""

from collections.abc import Iterator

from checkout_audit.invariant import Violation
from checkout_audit.snapshot import OrderEvidence, Records, Snapshot, name_of, subject_of
from checkout_audit.state_machines import COMMANDS, CONTESTED, ENDED_CALL
from inventory_service.domain import RELEASED
from payment_service.domain import VOIDED
from shipping_service.domain import CANCELLED


def no_orphans(snapshot: Snapshot) -> list[Violation]:
    """7: a reservation, payment, shipment or provider's entry has its order. A tombstone counts as nothing."""
    return [Violation(case.subject, what) for case in snapshot.cases.values() for what in _orphans(case)]


def _orphans(case: OrderEvidence) -> Iterator[str]:
    order = case.order
    for service in case.placeholders:
        if order is None:
            yield f"{service} has an empty row for it, and there is no such order"
        elif order.state.settled:
            yield f"{service} has no more than an empty row for it, and the order is settled"
    if order is not None:
        return
    if (held := case.reservation) and not (held.status == RELEASED and not held.lines):
        yield f"there is a reservation ({held.status}), but no such order"
    if (paid := case.payment) and not (paid.state.status == VOIDED and paid.state.checkout is None):
        yield f"there is a payment ({paid.state.status}), but no such order"
    if (sent := case.shipment) and not (sent.status == CANCELLED and sent.checkout is None):
        yield f"there is a shipment ({sent.status}), but no such order"
    for row in case.ledger:
        yield f"the {row.provider} provider has an entry ({row.operation} {row.outcome}), but there is no such order"


def nothing_left(snapshot: Snapshot) -> list[Violation]:
    """8: outboxes are empty, every claim had its effect, and no dead letter is unaccounted for.

    A call that an operator has ended may go on: what it finds is undone, and until then it is on the provider's ledger.
    """
    found: list[Violation] = []
    for service, records in snapshot.services.items():
        ended = {
            f"{subject_of(claim.id)}/{ENDED_CALL[name]}"
            for claim in records.inbox
            if (name := name_of(claim.id)) in ENDED_CALL
        }
        for row in records.outbox:
            if row.is_call and row.id in ended:
                continue
            kind = "call" if row.is_call else "message"
            since = row.created_at.isoformat(timespec="seconds")
            what = f"a {kind} is in the outbox of {service} since {since}, {row.attempts} attempts"
            found.append(Violation(row.id, what))
        for letter in records.dead_letters:
            if letter.id not in snapshot.accounted:
                found.append(Violation(letter.id, f"a dead letter of {service}: {letter.cause[:200]}"))
        found += _without_effect(service, records)
    return found


def _without_effect(service: str, records: Records) -> Iterator[Violation]:
    effects = {row.command for row in records.journal}
    decided = {row.subject for row in records.journal if row.name in ("OrderConfirmed", "OrderCancelled")}
    for claim in records.inbox:
        name = name_of(claim.id)
        if name not in COMMANDS[service]:
            yield Violation(claim.id, f"is claimed in the inbox of {service}, which knows no such command")
        elif claim.id not in effects and not (name in CONTESTED and subject_of(claim.id) in decided):
            yield Violation(claim.id, f"is claimed in the inbox of {service}, but had no effect")

"""Invariant 9: what each service recorded is a path of its state machine, and no step came before its cause."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from checkout.messages import OrderCancelled
from checkout_audit.commands import ANSWERED_CALL, CAUSES, COMMANDS, EVENTS_OF_COMMAND, PROVIDER_OF, SPONTANEOUS, Effect
from checkout_audit.replay import SERVICES, differences, replay, stored
from checkout_audit.rows import InboxRow, JournalRow, name_of, subject_of
from checkout_audit.snapshot import Late, OrderEvidence, Snapshot, Violation
from checkout_audit.state_machines import ENDS, MACHINES, START
from order_service import domain as order

REFUSALS: Final = {  # cancellation reason -> the service that refused, and its event
    order.OUT_OF_STOCK: ("inventory", "StockRejected"),
    order.PAYMENT_DECLINED: ("payment", "PaymentDeclined"),
    order.SHIPPING_UNAVAILABLE: ("shipping", "ShipmentRefused"),
}


def history_is_a_path(snapshot: Snapshot) -> list[Violation]:
    """9: no event twice, each step legal, each row where its history leads, each step after its cause."""
    violations: list[Violation] = []
    for evidence in snapshot.evidence.values():
        for service in SERVICES:
            rows = evidence.journal.get(service, [])
            problems = [*_malformed(rows), *_path(service, rows)] or [*_row(service, evidence, rows)]
            problems += [
                f"the row cannot be read, and counts as absent: {odd.why}"
                for odd in evidence.odd
                if odd.service == service
            ]
            problems += _steps(service, evidence, rows, snapshot.late)
            for claim in evidence.inbox.get(service, ()):
                problems += _claim(service, claim, evidence, snapshot.late)
            violations += [Violation(evidence.subject, f"{service}: {what}") for what in problems]
        violations += [Violation(evidence.subject, f"order: {what}") for what in _reason(evidence, snapshot.late)]
    return violations


def _malformed(rows: Sequence[JournalRow]) -> Iterator[str]:
    names: set[str] = set()
    for row in rows:
        if row.name in names:
            yield f"{row.name} is on record twice"
        names.add(row.name)
        if row.id != f"{row.subject}/{row.name}":
            yield f"{row.name} is on record under the id {row.id}"
        if row.event is None:
            yield f"{row.name} cannot be read"
        elif (type(row.event).__name__, row.event.subject) != (row.name, row.subject):
            yield f"{row.name} holds a {type(row.event).__name__} of {row.event.subject}"


def _path(service: str, rows: Sequence[JournalRow]) -> Iterator[str]:
    state = START
    for row in rows:
        after = MACHINES[service].get(state, {}).get(row.name)
        if after is None:
            yield f"{row.name} cannot follow where there is {state}"
            return
        state = after


def _row(service: str, evidence: OrderEvidence, rows: Sequence[JournalRow]) -> Iterator[str]:
    row = stored(service, evidence)
    if row is None:
        if rows and rows[0].name != "StockReceived":
            yield f"there is a history that ends with {rows[-1].name}, but no row"
        return
    if row.pruned:
        yield from _final(service, row, bool(rows))
        return
    if not rows:
        yield f"there is a row ({row.status}), but no history"
        return
    try:
        replayed = replay(service, evidence.subject, rows)
    except Exception as error:
        yield f"the history cannot be replayed: {type(error).__name__}: {error}"
        return
    if replayed != row:
        yield f"the row has {differences(replayed, row)}"


def _final(service: str, row: Any, has_history: bool) -> Iterator[str]:
    """Check a row that is pruned: all that is known is that it has ended."""
    if has_history:
        yield f"the row ({row.status}) is pruned, but there is a history"
    if row.status not in ENDS[service]:
        yield f"the row is pruned, but it is {row.status}, which is no end"


def _is_pruned(service: str, evidence: OrderEvidence) -> bool:
    row = stored(service, evidence)
    return row is not None and row.pruned


def _steps(service: str, evidence: OrderEvidence, rows: Sequence[JournalRow], late: Late) -> Iterator[str]:
    claims = {claim.id: claim for claim in evidence.inbox.get(service, ())}
    for row in rows:
        command = name_of(row.command)
        events = EVENTS_OF_COMMAND.get(command, {}) if command in COMMANDS[service] else {}
        if row.name not in events or subject_of(row.command) != row.subject:
            yield f"{row.name} is on record as the effect of {row.command}, which cannot be"
            continue
        claim = claims.get(row.command)
        if claim is not None and late(claim.claimed_at, row.recorded_at):
            yield f"{row.name} was recorded before its command {command} was claimed"
        if claim is None and not _answered_at_once(command, evidence):
            yield f"{row.name} is the effect of {command}, which was never claimed"
        effect = events[row.name]
        if effect and not _is_on_ledger(PROVIDER_OF[service], effect, evidence):
            yield f"{row.name} is on record, but the provider's ledger has no {effect[0]} {effect[1]}"


def _is_on_ledger(provider: str, effect: Effect, evidence: OrderEvidence) -> bool:
    return provider in evidence.unread or bool(evidence.effects(provider, *effect))


def _answered_at_once(command: str, evidence: OrderEvidence) -> bool:
    """An instant provider answers inside the transaction that asks, so its answer needs no claim."""
    operation = ANSWERED_CALL.get(command)
    return any(row.operation == operation and row.source != "sandbox" for row in evidence.ledger)


def _claim(service: str, claim: InboxRow, evidence: OrderEvidence, late: Late) -> Iterator[str]:
    command, cause = name_of(claim.id), claim.cause
    if command in ANSWERED_CALL:
        if PROVIDER_OF.get(service) not in evidence.unread:
            yield from _answer(claim, evidence, ANSWERED_CALL[command], late)
    elif cause is None:
        if command not in SPONTANEOUS:
            yield f"{command} was claimed without a cause"
        elif command == "CancelOrder" and not _before("order", "OrderPlaced", claim, evidence, late):
            yield "CancelOrder was claimed before the order was placed"
    elif cause == claim.id and command in CAUSES:
        if not _led_to(CAUSES[command], claim, evidence, late):
            yield f"{command} was claimed before any of {', '.join(CAUSES[command])} was on record"
    elif subject_of(cause) == evidence.subject and name_of(cause) in CAUSES.get(command, {}):
        event = name_of(cause)
        if not _led_to({event: CAUSES[command][event]}, claim, evidence, late):
            yield f"{command} was claimed before its cause {event} was on record"
    else:
        yield f"{command} was claimed because of {cause}, which cannot lead to it"


def _led_to(causes: Mapping[str, str], claim: InboxRow, evidence: OrderEvidence, late: Late) -> bool:
    """Whether one of the events was on record before the claim.

    A command for an order that was never placed may have been caused by a message from outside, which nobody recorded.
    """
    if any(_before(owner, event, claim, evidence, late) for event, owner in causes.items()):
        return True
    if any(_is_pruned(owner, evidence) for owner in causes.values()):
        return True  # its record is deleted
    disowned = evidence.order is not None and evidence.order.state.disowned
    return disowned and not any(evidence.recorded(owner, event) for event, owner in causes.items())


def _answer(claim: InboxRow, evidence: OrderEvidence, operation: str, late: Late) -> Iterator[str]:
    key = f"{evidence.subject}/{operation}"
    entries = [row for row in evidence.ledger if row.key == key]
    if claim.cause != key:
        yield f"{name_of(claim.id)} was claimed because of {claim.cause}, not of the answer to {key}"
    elif not entries:
        yield f"{name_of(claim.id)} was claimed, but the provider's ledger has no {operation}"
    elif all(late(entry.at, claim.claimed_at) for entry in entries):
        yield f"{name_of(claim.id)} was claimed before the provider's ledger had {operation}"


def _before(service: str, event: str, claim: InboxRow, evidence: OrderEvidence, late: Late) -> bool:
    row = evidence.recorded(service, event)
    return row is not None and not late(row.recorded_at, claim.claimed_at)


def _reason(evidence: OrderEvidence, late: Late) -> Iterator[str]:
    """Check that a refusal named as the reason was on record before, and that its event caused the cancellation."""
    row = evidence.recorded("order", "OrderCancelled")
    if row is None or not isinstance(row.event, OrderCancelled):
        return
    refusal = REFUSALS.get(row.event.reason)
    if refusal is None:
        return
    refused = evidence.recorded(*refusal)
    if refused is None and _is_pruned(refusal[0], evidence):
        return
    if refused is None or late(refused.recorded_at, row.recorded_at):
        yield f"cancelled as {row.event.reason} before {refusal[1]} was on record"
    if any(claim.id == row.command and claim.cause is None for claim in evidence.inbox.get("order", ())):
        yield f"cancelled as {row.event.reason} by a command without a cause"

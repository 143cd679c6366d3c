"""Small changes to a snapshot: each function makes one, to be applied to a clean one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from checkout.messages import Money
from checkout_audit.rows import LedgerRow
from checkout_audit.snapshot import ClientObservation, Snapshot
from tests.unit.checkout_audit.world import change

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EUR = "EUR"
Mutation = Callable[[Snapshot], Snapshot]


def _with(clean: Snapshot, table: str, rows: tuple[Any, ...]) -> Snapshot:
    changes: dict[str, Any] = {table: rows}
    return replace(clean, **changes)


def order(order_id: str, **changes: Any) -> Mutation:
    return lambda clean: replace(clean, orders=change(clean.orders, order_id, **changes))


def reservation(order_id: str, **changes: Any) -> Mutation:
    return lambda clean: replace(clean, reservations=change(clean.reservations, order_id, **changes))


def payment(order_id: str, **changes: Any) -> Mutation:
    return lambda clean: replace(clean, payments=change(clean.payments, order_id, **changes))


def shipment(order_id: str, **changes: Any) -> Mutation:
    return lambda clean: replace(clean, shipments=change(clean.shipments, order_id, **changes))


def stock(sku: str, **shifts: int) -> Mutation:
    def mutate(clean: Snapshot) -> Snapshot:
        item = next(one for one in clean.stock if one.sku == sku)
        changes = {name: getattr(item, name) + shift for name, shift in shifts.items()}
        return replace(clean, stock=change(clean.stock, sku, **changes))

    return mutate


def without(table: str, order_id: str) -> Mutation:
    """One row is lost."""

    def mutate(clean: Snapshot) -> Snapshot:
        rows = getattr(clean, table)
        kept = tuple(row for row in rows if getattr(row, "state", row).order_id != order_id)
        assert len(kept) == len(rows) - 1
        return _with(clean, table, kept)

    return mutate


def twice(table: str, order_id: str, /, **changes: Any) -> Mutation:
    """One row is there a second time, under another id if `changes` say so."""

    def mutate(clean: Snapshot) -> Snapshot:
        row = next(row for row in getattr(clean, table) if getattr(row, "state", row).order_id == order_id)
        copy = change((row,), order_id, **changes) if changes else (row,)
        return _with(clean, table, (*getattr(clean, table), *copy))

    return mutate


def more(**rows: Any) -> Mutation:
    """A row is added to each of the tables named."""

    def mutate(clean: Snapshot) -> Snapshot:
        for table, row in rows.items():
            clean = _with(clean, table, (*getattr(clean, table), row))
        return clean

    return mutate


def records(service: str, table: str, edit: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Mutation:
    def mutate(clean: Snapshot) -> Snapshot:
        mine = clean.services[service]
        edited = edit(getattr(mine, table))
        assert edited != getattr(mine, table)
        return replace(clean, services={**clean.services, service: replace(mine, **{table: edited})})

    return mutate


def claim(service: str, identity: str, **changes: Any) -> Mutation:
    """One inbox row changed, or, without changes, lost."""
    return records(service, "inbox", lambda rows: _edited(rows, identity, changes))


def event(service: str, identity: str, **changes: Any) -> Mutation:
    """One journal row changed, or, without changes, lost."""
    return records(service, "journal", lambda rows: _edited(rows, identity, changes))


def _edited(rows: tuple[Any, ...], identity: str, changes: dict[str, Any]) -> tuple[Any, ...]:
    edited = (replace(row, **changes) if row.id == identity else row for row in rows)
    return tuple(row for row in edited if changes or row.id != identity)


def add_row(service: str, table: str, row: Any) -> Mutation:
    return records(service, table, lambda rows: (*rows, row))


def again(service: str, identity: str, **changes: Any) -> Mutation:
    """One journal row is there a second time."""
    return records(
        service, "journal", lambda rows: (*rows, *(replace(row, **changes) for row in rows if row.id == identity))
    )


def entry(order_id: str, operation: str, amount: int | None = 3600, **changes: Any) -> LedgerRow:
    provider = "payment" if operation in ("authorize", "capture", "void") else "carrier"
    money = Money(amount, EUR) if amount is not None and provider == "payment" else None
    row = LedgerRow(order_id, provider, operation, "ok", money, f"{order_id}/{operation}", LONG_AGO, "sandbox")
    return replace(row, **changes)


def ledger(key: str, /, **changes: Any) -> Mutation:
    """One entry changed, or, without changes, lost."""

    def mutate(clean: Snapshot) -> Snapshot:
        rows = tuple(
            replace(row, **changes) if row.key == key else row for row in clean.ledger if changes or row.key != key
        )
        assert rows != clean.ledger
        return replace(clean, ledger=rows)

    return mutate


def told(**observation: Any) -> Mutation:
    return lambda clean: replace(clean, history=(*(clean.history or ()), ClientObservation(**observation)))


def told_only(key: str, order_id: str | None, answer: str) -> Mutation:
    """All that alice was told under a key is this."""

    def mutate(clean: Snapshot) -> Snapshot:
        others = tuple(one for one in clean.history or () if one.key != key)
        assert others != clean.history
        return replace(clean, history=(*others, ClientObservation(key, order_id, answer, "alice")))

    return mutate

"""Snapshots under other names: orders with ids as the shop makes them, and several shops in one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from checkout_audit.rows import Records
from checkout_audit.snapshot import Snapshot
from inventory_service.domain import StockItem
from tests.unit.checkout_audit.world import copied

Naming = Callable[[str], str]


def named(salt: str) -> Naming:
    """Order ids as the order service derives them, and those of restocks."""

    def name(subject: str) -> str:
        derived = str(uuid5(NAMESPACE_URL, salt + subject))
        return f"restock-{derived}" if subject.startswith("restock") else derived

    return name


def renamed(snapshot: Snapshot, salt: str) -> Snapshot:
    """The same with other subjects and other idempotency keys."""
    name = named(salt)

    def derived(identity: str | None) -> str | None:
        if identity is None or "/" not in identity:
            return identity
        subject, _, rest = identity.rpartition("/")
        return f"{name(subject)}/{rest}"

    def about(value: Any) -> Any:
        if value is None:
            return None
        changes = {field: name(getattr(value, field)) for field in ("order_id", "restock_id") if hasattr(value, field)}
        if getattr(value, "idempotency_key", ""):
            changes["idempotency_key"] = f"{value.idempotency_key}-{salt}"
        return copied(value, **changes)

    def records(mine: Records) -> Records:
        return Records(
            tuple(replace(row, id=derived(row.id), cause=derived(row.cause)) for row in mine.inbox),
            tuple(
                replace(
                    row,
                    id=derived(row.id),
                    subject=name(row.subject),
                    command=derived(row.command),
                    event=about(row.event),
                )
                for row in mine.journal
            ),
            tuple(replace(row, id=derived(row.id)) for row in mine.outbox),
            mine.dead_letters,
        )

    return replace(
        snapshot,
        orders=tuple(replace(row, state=about(row.state)) for row in snapshot.orders),
        reservations=tuple(about(row) for row in snapshot.reservations),
        payments=tuple(replace(row, state=about(row.state)) for row in snapshot.payments),
        shipments=tuple(about(row) for row in snapshot.shipments),
        services={service: records(mine) for service, mine in snapshot.services.items()},
        ledger=tuple(replace(row, order_id=name(row.order_id), key=derived(row.key)) for row in snapshot.ledger),
        history=tuple(
            replace(one, order_id=name(one.order_id) if one.order_id else None, key=f"{one.key}-{salt}")
            for one in snapshot.history or ()
        ),
    )


def together(*snapshots: Snapshot) -> Snapshot:
    """All of them as one, with their stock added up."""
    items: dict[str, StockItem] = {}
    for item in (item for one in snapshots for item in one.stock):
        if item.sku in items:
            known = items[item.sku]
            numbers = ("received", "available", "reserved", "committed")
            item = StockItem(item.sku, *(getattr(known, name) + getattr(item, name) for name in numbers))
        items[item.sku] = item
    joined: dict[str, Any] = {
        name: tuple(row for one in snapshots for row in getattr(one, name))
        for name in ("orders", "reservations", "payments", "shipments", "ledger")
    }
    return replace(
        snapshots[0],
        **joined,
        stock=tuple(items.values()),
        history=tuple(row for one in snapshots for row in one.history or ()),
        initial={sku: len(snapshots) * count for sku, count in snapshots[0].initial.items()},
        services={
            service: Records(
                *(
                    tuple(row for one in snapshots for row in getattr(one.services[service], kind))
                    for kind in ("inbox", "journal", "outbox", "dead_letters")
                )
            )
            for service in snapshots[0].services
        },
    )

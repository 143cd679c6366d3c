"""Databases with the tables of all services that hold what a snapshot says."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from checkout_audit.rows import Records
from checkout_audit.snapshot import Snapshot
from checkout_audit.tables import METADATA
from inventory_service import store as inventory
from order_service import store as order
from payment_service import store as payment
from shipping_service import store as shipping


async def fill(urls: Mapping[str, str], snapshot: Snapshot) -> None:
    """Empty the databases, and put in what the snapshot holds, but for the sandbox's entries."""
    for service, url in urls.items():
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(METADATA[service].drop_all)
            await connection.run_sync(METADATA[service].create_all)
            await _insert(connection, service, ENTITIES[service], _entities(service, snapshot))
            await _records(connection, service, snapshot.services[service])
            if service == "inventory":
                await _insert(connection, service, "stock_items", _stock(snapshot))
            entries = [row for row in snapshot.ledger if row.source == service]
            await _insert(connection, service, "ledger", [_entry(row) for row in entries])
        await engine.dispose()


ENTITIES = {"order": "orders", "inventory": "reservations", "payment": "payments", "shipping": "shipments"}


def _entities(service: str, snapshot: Snapshot) -> Sequence[Mapping[str, Any]]:
    if service == "order":
        return [
            {**order.write(row.state), "order_id": row.order_id, "settled": row.settled, "customer": row.customer}
            for row in snapshot.orders
        ]
    if service == "inventory":
        return [{**inventory.RESERVATIONS_ROWS.write(row), "order_id": row.order_id} for row in snapshot.reservations]
    if service == "payment":
        return [
            {
                **payment.ROWS.write(row.state),
                "order_id": row.state.order_id,
                "amount": row.amount,
                "currency": row.currency,
            }
            for row in snapshot.payments
        ]
    return [{**shipping.ROWS.write(row), "order_id": row.order_id} for row in snapshot.shipments]


def _stock(snapshot: Snapshot) -> Sequence[Mapping[str, Any]]:
    same = {"name": "", "price": 1, "currency": "EUR"}
    quantities = ("sku", "received", "available", "reserved", "committed")
    return [{**{name: getattr(item, name) for name in quantities}, **same} for item in snapshot.stock]


def _entry(row: Any) -> Mapping[str, Any]:
    same = {name: getattr(row, name) for name in ("order_id", "provider", "operation", "outcome", "key", "at")}
    amount, currency = (row.amount.amount, row.amount.currency) if row.amount else (None, None)
    return {**same, "amount": amount, "currency": currency}


def rows_of(service: str, table: str, snapshot: Snapshot) -> list[Mapping[str, Any]]:
    """The rows of one table, with numbers where the database gives them."""
    records = snapshot.services[service]
    if table == "inbox":
        return _claims(records)
    if table == "journal":
        return [{**row, "seq": number} for number, row in enumerate(_events(records), 1)]
    if table == "ledger":
        return [_entry(row) for row in snapshot.ledger if row.source == service]
    return list(_entities(service, snapshot))


def _claims(records: Records) -> list[Mapping[str, Any]]:
    return [{"id": row.id, "cause": row.cause, "claimed_at": row.claimed_at} for row in records.inbox]


def _events(records: Records) -> list[Mapping[str, Any]]:
    return [
        {
            "id": row.id,
            "subject": row.subject,
            "name": row.name,
            "command": row.command,
            "data": msgspec.json.encode(row.event).decode() if row.event else "{}",
            "recorded_at": row.recorded_at,
        }
        for row in sorted(records.journal, key=lambda row: row.seq)
    ]


async def _records(connection: AsyncConnection, service: str, records: Records) -> None:
    await _insert(connection, service, "inbox", _claims(records))
    await _insert(connection, service, "journal", _events(records))
    waiting = [
        {
            "id": row.id,
            "channel": row.channel,
            "key": "",
            "type": "",
            "body": b"",
            "is_call": row.is_call,
            "token": 0,
            "attempts": row.attempts,
            "leased_until": row.created_at,
            "created_at": row.created_at,
        }
        for row in records.outbox
    ]
    await _insert(connection, service, "outbox", waiting)
    letters = [{"id": row.id, "body": b"", "cause": row.cause, "at": row.at} for row in records.dead_letters]
    await _insert(connection, service, "dead_letter", letters)


async def _insert(connection: AsyncConnection, service: str, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    target: Table = METADATA[service].tables[table]
    await connection.execute(target.insert(), list(rows))


async def run_sql(url: str, statement: str) -> None:
    """One statement, committed."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()

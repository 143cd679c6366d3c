"""Statements at the driver do what the same statements do through SQLAlchemy, and their errors are the ports' own."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from checkout.messages import ConfirmOrder
from order_service import store as order
from order_service.service import SERVICE
from sagakit.engine.batch import apply_batch, claims
from sagakit.ports import RowExists, RowRejected, RowsLocked
from sagakit.postgres.session import session
from sagakit.postgres.store import SqlTransaction
from sagakit.work import Execute, Item
from tests.service_process import MemoryMode, ServiceProcess, place, service_process

Database = Callable[[str], str]
BATCHES: list[list[Item]] = [
    [Execute(place("o1"), None, "trace"), Execute(place("o2")), Execute(place("o1"))],
    [Execute(ConfirmOrder("o2"), "cause"), Execute(place("o2"))],
]
WRITTEN = (
    "SELECT order_id, status, customer, idempotency_key, checkout, nudges FROM orders ORDER BY 1",
    "SELECT id, cause FROM inbox ORDER BY 1",
    "SELECT id, subject, name, command, data, traceparent FROM journal ORDER BY 1",
    "SELECT id, channel, key, type, is_call FROM outbox_waiting ORDER BY 1",
)


class PlainSession:
    """A Session through SQLAlchemy."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        result = await self._connection.execute(text(sql), values)
        return result.all() if result.returns_rows else []


@asynccontextmanager
async def plainly(service: ServiceProcess) -> Any:
    async with service.database.begin() as connection:
        yield SqlTransaction(PlainSession(connection), SERVICE.vocabulary, order.rows(2), 5.0)


async def handle(service: ServiceProcess, transaction: SqlTransaction, items: Sequence[Item], token: int) -> list[Any]:
    commands = [item.command for item in items if isinstance(item, Execute)]
    fresh, working = await transaction.claim_and_load(claims(items), commands, [])
    recorded = await transaction.recorded(["o1/OrderPlaced", "o2/OrderPlaced"])
    answers, changes = apply_batch(
        SERVICE, cast(Any, MemoryMode()), items, fresh, working, recorded, lambda call: None, token
    )
    await transaction.save(working, changes)
    return [fresh, recorded, answers]


async def claim_and(service: ServiceProcess, sql: str, values: Mapping[str, Any]) -> None:
    async with session(service.database, transaction=True) as opened:
        await opened.fetch("INSERT INTO inbox (id) VALUES ('lost')", {})
        await opened.fetch(sql, values)


async def test_both_ways_of_executing_a_batch_read_and_write_the_same(database: Database) -> None:
    async with (
        service_process("order", database("order"), started=False) as one,
        service_process("order", database("order"), started=False) as two,
    ):
        for token, batch in enumerate(BATCHES):
            async with one.store.transaction() as transaction:
                driven = await handle(one, transaction, batch, token)
            async with plainly(two) as transaction:
                assert await handle(two, transaction, batch, token) == driven
        for statement in WRITTEN:
            rows = [tuple(row) for row in await one.rows(statement)]
            assert rows == [tuple(row) for row in await two.rows(statement)]
            assert rows


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT CAST(:value AS bigint)", RowRejected),
        ("INSERT INTO inbox (id) VALUES ('o1/PlaceOrder')", RowExists),
        ("SELECT 1 FROM orders FOR UPDATE NOWAIT", RowsLocked),
    ],
)
async def test_an_error_at_the_driver_is_one_of_the_ports_and_its_connection_is_used_again(
    database: Database, sql: str, error: type[Exception]
) -> None:
    async with service_process("order", database("order"), started=False, db_pool=2) as service:
        await service.engine.dispatcher.do(place("o1"))
        async with service.database.connect() as other:
            await other.execute(text("SELECT 1 FROM orders FOR UPDATE"))
            for _ in range(8):
                with pytest.raises(error):
                    await claim_and(service, sql, {"value": "no number"} if ":value" in sql else {})
            await other.rollback()
        assert await service.count("inbox") == 1


async def test_arrays_are_lists_and_tuples_of_anything_that_their_type_holds(database: Database) -> None:
    assert hasattr(asyncpg.protocol.protocol, "IterableABC")  # else the assignment in `connection` has no effect
    values = {"texts": ["a", "", None, "\u00e9"], "bytes": (b"", b"\x00"), "grid": [[1, 2], [3, None]]}
    sql = "SELECT CAST(:texts AS text[]), CAST(:bytes AS bytea[]), CAST(:grid AS bigint[])"
    async with (
        service_process("order", database("order"), started=False) as service,
        session(service.database, transaction=False) as opened,
    ):
        (row,) = await opened.fetch(sql, values)
    assert tuple(row) == (values["texts"], list(values["bytes"]), values["grid"])

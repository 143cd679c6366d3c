"""Requests behind a row that somebody else holds: an answer within DOOR_TIMEOUT, and nobody else notices."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from order_service.queries import OrderQueries
from tests.postgres import Server
from tests.unit.api.served import ADMIN, headers, problem, served

Database = Callable[[str], str]
PATIENCE = 1.0


async def test_an_order_that_is_locked_is_503_to_its_customer_and_nothing_to_others(database: Database) -> None:
    async with served("order", database("order"), door_timeout=PATIENCE) as order:
        order_id = (await order.place("k1")).json()["order_id"]
        async with order.service_process.database.connect() as other:
            await other.exec_driver_sql(f"SELECT 1 FROM orders WHERE order_id = '{order_id}' FOR UPDATE")
            began = time.monotonic()
            cancel = asyncio.create_task(order.post(f"/orders/{order_id}/cancel"))
            assert [(await order.place(f"other-{n}")).status_code for n in range(5)] == [202] * 5
            assert not cancel.done()
            assert (await order.get(f"/orders/{order_id}")).json()["status"] == "PENDING"
            problem(await cancel, 503, "unavailable")
            assert cancel.result().headers["Retry-After"]
            assert time.monotonic() - began > PATIENCE * 0.9
        assert (await order.post(f"/orders/{order_id}/cancel")).json()["status"] == "CANCELLED"


async def test_an_order_behind_a_frozen_database_is_503_in_time_and_so_are_its_repeats(
    postgres: Server, database: Database
) -> None:
    async with served("order", database("order"), door_timeout=PATIENCE) as order:
        await order.place("k1")
        postgres.signal(signal.SIGSTOP)
        began = time.monotonic()
        answers = await asyncio.gather(*(order.place(key) for key in ("k1", "k2", "k2", "k2")))
        took = time.monotonic() - began
        postgres.signal(signal.SIGCONT)
        assert took < 2 * PATIENCE
        for answer in answers:
            problem(answer, 503, "unavailable")
        assert len({(await order.place("k2")).json()["order_id"] for _ in range(3)}) == 1


async def test_an_order_waits_while_the_table_is_locked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: asyncio.Queue[None] = asyncio.Queue()
    first_under = OrderQueries.first_under

    async def counted(self: OrderQueries, *arguments: Any, **options: Any) -> Any:
        asked.put_nowait(None)
        return await first_under(self, *arguments, **options)

    monkeypatch.setattr(OrderQueries, "first_under", counted)
    async with served("order", database("order")) as order:
        async with order.service_process.database.connect() as other:
            await other.exec_driver_sql("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            waiting = asyncio.create_task(order.place("k1"))
            async with asyncio.timeout(4):
                for _ in range(3):  # the server ends each wait for a lock after a fifth of a second
                    await asked.get()
            assert not waiting.done()
        assert (await waiting).status_code == 202


async def test_a_restock_of_a_locked_item_is_503_and_happens_once_when_it_is_free(database: Database) -> None:
    async with served("inventory", database("inventory"), door_timeout=PATIENCE) as inventory:
        before = (await inventory.get("/stock/tea-pot")).json()["available"]
        given = {**ADMIN, "Idempotency-Key": "r1"}
        async with inventory.service_process.database.connect() as other:
            await other.exec_driver_sql("SELECT 1 FROM stock_items WHERE sku = 'tea-pot' FOR UPDATE")
            problem(await inventory.post("/stock/tea-pot/restock", given, {"quantity": 5}), 503, "unavailable")
            free = {**headers("root", "admin"), "Idempotency-Key": "r2"}
            assert (await inventory.post("/stock/milk-jug/restock", free, {"quantity": 1})).status_code == 200
        for _ in range(2):
            answer = await inventory.post("/stock/tea-pot/restock", given, {"quantity": 5})
            assert (answer.status_code, answer.json()["available"]) == (200, before + 5)

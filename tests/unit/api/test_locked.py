"""Requests behind a row that somebody else holds: an answer within DOOR_TIMEOUT, and nobody else notices."""

import asyncio
import time
from collections.abc import Callable

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

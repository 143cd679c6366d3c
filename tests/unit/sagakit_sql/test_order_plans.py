"""Look-ups of orders read an index, whatever their table looked like when they were prepared."""

import pytest
from sqlalchemy import text

from order_service.queries import BY_ID, FIRST_UNDER, digest
from tests.postgres import Server
from tests.service_process import place, service_process

FILL = (
    "INSERT INTO orders (order_id, customer, idempotency_key) "
    "SELECT 'o' || n, 'alice', 'key-' || n FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"
)
GENERIC = "SET LOCAL plan_cache_mode = force_generic_plan"


@pytest.mark.parametrize(
    ("stored", "analyzed"), [(0, False), (1, False), (5, False), (1000, False), (51, True), (1000, True)]
)  # autovacuum analyzes a table after 50 changes
async def test_a_lookup_reads_no_whole_table(postgres: Server, stored: int, analyzed: bool) -> None:
    async with (
        service_process("order", postgres.database("order"), started=False) as order,
        order.database.connect() as connection,
    ):
        await connection.execute(text(FILL), {"first": 1, "last": stored})
        if analyzed:
            await connection.execute(text("ANALYZE orders"))
        await connection.execute(text(GENERIC))
        for statement, index in ((BY_ID, "orders_pkey"), (FIRST_UNDER, "orders_by_key")):
            rows = await connection.execute(text(f"EXPLAIN {statement}"), {"ids": ["a", "b"]})
            plan = "\n".join(row[0] for row in rows)
            assert index in plan, plan
            assert plan.count("Index Cond") == 1, plan
            assert "Seq Scan" not in plan


async def test_the_digest_is_that_of_the_database(postgres: Server) -> None:
    async with service_process("order", postgres.database("order"), started=False) as order:
        command = place("o1", customer="ali\u010de 'x'")
        await order.engine.dispatcher.do(command)
        asked = [digest(command.checkout.customer, command.idempotency_key)]
        async with order.database.connect() as connection:
            found = (await connection.execute(text(FIRST_UNDER), {"ids": asked})).all()
        assert [(row.digest, row.order_id) for row in found] == [(asked[0], "o1")]

"""The sweeper: overdue orders are cancelled once, stalled ones are nudged ever more rarely, sweepers share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from checkout.messages import ConfirmOrder, RecordPaymentSettled, RecordShipmentSettled, RecordStockSettled
from order_service.sweeper import Sweeper
from sagakit.work import Execute
from tests.postgres import Server
from tests.service_process import ServiceProcess, place, service_process

Database = Callable[[str], str]


def sweeper(order: ServiceProcess, deadline: float = 30, nudge_after: float = 2, rate: int = 200) -> Sweeper:
    return Sweeper(order.database, order.engine, deadline=deadline, nudge_after=nudge_after, rate=rate)


async def _age(order: ServiceProcess, seconds: float, columns: str = "created_at updated_at nudge_at") -> None:
    moves = ", ".join(f"{name} = {name} - make_interval(secs => {seconds})" for name in columns.split())
    async with order.database.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE orders SET {moves}")


async def _next_nudge(order: ServiceProcess) -> float:
    rows = await order.rows("SELECT extract(epoch FROM nudge_at - now())::float8 AS seconds FROM orders")
    return round(float(rows[0].seconds), 0)


async def test_an_overdue_order_is_timed_out_exactly_once(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do_all([Execute(place("o1")), Execute(place("o2")), Execute(ConfirmOrder("o2"))])
        await _age(order, 31)
        assert await sweeper(order).sweep() == 2
        assert await sweeper(order).sweep() == 0
        rows = await order.rows("SELECT order_id, status, cancellation_reason AS why FROM orders ORDER BY order_id")
        assert [tuple(row) for row in rows] == [("o1", "CANCELLED", "TIMED_OUT"), ("o2", "CONFIRMED", None)]
        events = await order.rows("SELECT id FROM journal WHERE name = 'OrderCancelled'")
        assert [row.id for row in events] == ["o1/OrderCancelled"]


async def test_two_sweepers_time_out_each_order_once(database: Database) -> None:
    url = database("order")
    async with service_process("order", url) as one, service_process("order", url) as two:
        await one.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(300)])
        await _age(one, 31)
        async with asyncio.timeout(20):
            while (await one.rows("SELECT count(*) FROM orders WHERE status = 'PENDING'"))[0][0]:
                await asyncio.gather(sweeper(one).sweep(), sweeper(two).sweep())
        assert (await one.rows("SELECT count(*) FROM journal WHERE name = 'OrderCancelled'"))[0][0] == 300


async def test_nudges_grow_rarer_up_to_a_bound_and_progress_resets_them(database: Database) -> None:
    async with service_process("order", database("order"), started=False, saga_nudge_after=2.0) as order:
        await order.engine.dispatcher.do_all([Execute(place("o1")), Execute(ConfirmOrder("o1"))])
        assert await _next_nudge(order) == 2
        assert await sweeper(order).sweep() == 0
        gaps = []
        for _ in range(6):
            await _age(order, 60, "nudge_at")
            await order.execute("DELETE FROM outbox_batch")
            assert await sweeper(order).sweep() == 1
            gaps.append(await _next_nudge(order))
        assert gaps == [4, 8, 8, 8, 8, 8]
        assert await sweeper(order).sweep() == 0
        await order.engine.dispatcher.do(RecordStockSettled("o1"))
        assert await _next_nudge(order) == 2
        assert (await order.rows("SELECT nudges FROM orders"))[0].nudges == 0


async def test_a_nudge_sends_what_is_owed_and_records_nothing(database: Database) -> None:
    async with service_process("order", database("order")) as order:
        await order.engine.dispatcher.do_all([Execute(place("o1")), Execute(ConfirmOrder("o1"))])
        await order.drained()
        order.mode.published.clear()
        await _age(order, 3, "nudge_at")
        await sweeper(order).sweep()
        await order.drained()
        assert [row.id for row in order.mode.published] == ["o1/OrderConfirmed"]
        assert await order.count("journal") == 2


async def test_a_sweep_is_bounded_and_takes_the_oldest_first(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        for number in range(30):
            await order.engine.dispatcher.do(place(f"o{number:02}"))
        await _age(order, 5, "nudge_at")
        assert await sweeper(order, rate=10).sweep() == 10
        rows = await order.rows("SELECT order_id FROM orders WHERE nudges = 1 ORDER BY 1")
        assert [row.order_id for row in rows] == [f"o{number:02}" for number in range(10)]


async def test_nudges_grow_rarer_while_late_orders_do_not_become_fewer(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do_all([Execute(place(f"o{number}")) for number in range(40)])
        await _age(order, 10, "created_at")
        swept = sweeper(order, rate=40)
        found = []
        for _ in range(12):
            await _age(order, 60, "nudge_at")
            found.append(await swept.sweep())
        assert found[0] == 40
        assert sum(found[6:]) < 20


async def _settle(order: ServiceProcess, *order_ids: str) -> None:
    for order_id in order_ids:
        for command in (ConfirmOrder, RecordStockSettled, RecordPaymentSettled, RecordShipmentSettled):
            await order.engine.dispatcher.do(command(order_id))


async def test_orders_are_not_nudged_before_twice_the_time_that_others_take(database: Database) -> None:
    """A system that is only slow needs no messages sent again: these would make it slower."""
    async with service_process("order", database("order"), started=False) as order:
        swept, settled = sweeper(order), [f"s{number}" for number in range(5)]
        await order.engine.dispatcher.do_all([Execute(place(one)) for one in (*settled, "late", "later")])
        await _age(order, 12, "created_at nudge_at")
        async with order.database.begin() as connection:
            earlier = "created_at = now() - interval '25 s'"
            await connection.exec_driver_sql(f"UPDATE orders SET {earlier} WHERE order_id = 'later'")
        await _settle(order, *settled)
        assert await swept.sweep() == 1
        rows = await order.rows("SELECT order_id FROM orders WHERE nudges = 1")
        assert [row.order_id for row in rows] == ["later"]
        await _age(order, 6, "updated_at")  # what others took some time ago says nothing about now
        assert await swept.sweep() == 1
        rows = await order.rows("SELECT order_id FROM orders WHERE nudges = 1 ORDER BY 1")
        assert [row.order_id for row in rows] == ["late", "later"]


async def test_a_confirmed_order_is_nudged_however_slow_the_others_are(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        commands = (place("slow"), place("o1"), ConfirmOrder("o1"))
        await order.engine.dispatcher.do_all([Execute(command) for command in commands])
        await _age(order, 60, "created_at nudge_at")
        await _settle(order, "slow")
        assert await sweeper(order, deadline=30).sweep() == 1


async def test_those_nudged_least_come_first(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do_all([Execute(place("old")), Execute(place("new"))])
        async with order.database.begin() as connection:
            await connection.exec_driver_sql("UPDATE orders SET nudges = 3 WHERE order_id = 'old'")
        await _age(order, 60, "nudge_at")
        assert await sweeper(order, rate=1).sweep() == 1
        rows = await order.rows("SELECT order_id, nudges FROM orders ORDER BY 1")
        assert [tuple(row) for row in rows] == [("new", 1), ("old", 3)]


async def test_a_sweeper_outlives_its_database(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), saga_deadline=0.5) as order:
        running = sweeper(order, deadline=0.5)
        running.period = 0.1
        task = asyncio.create_task(running.run())
        await order.engine.dispatcher.do(place("o1"))
        await asyncio.to_thread(postgres.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres.start)
        await order.until("SELECT status FROM orders", "CANCELLED")
        assert not task.done()
        task.cancel()


@asynccontextmanager
async def _locked(order: ServiceProcess, *order_ids: str) -> AsyncIterator[None]:
    """Rows held as a door holds them, by a transaction that does not end."""
    ids = ", ".join(f"'{one}'" for one in order_ids)
    async with order.database.connect() as connection:
        await connection.exec_driver_sql(f"SELECT 1 FROM orders WHERE order_id IN ({ids}) FOR UPDATE")
        yield
        await connection.rollback()


async def test_a_locked_row_keeps_no_sweeper_from_starting(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do_all([Execute(place(f"o{number}")) for number in range(5)])
        await _age(order, -60, "nudge_at")
        async with _locked(order, "o2"):
            began = time.monotonic()
            await sweeper(order).begin()
            assert time.monotonic() - began < 1
        rows = await order.rows("SELECT order_id FROM orders WHERE nudge_at > now() + interval '10 seconds'")
        assert [row.order_id for row in rows] == ["o2"]


async def test_the_start_waits_for_no_lock_while_it_holds_others(database: Database) -> None:
    """A door that holds the last row and wants the first: whoever took them in another order would deadlock."""
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do_all([Execute(place(f"o{number}")) for number in range(5)])
        await _age(order, -60, "nudge_at")
        async with order.database.begin() as connection:
            await connection.exec_driver_sql("SELECT 1 FROM orders WHERE order_id = 'o4' FOR UPDATE")
            await sweeper(order).begin()
            await connection.exec_driver_sql("SELECT 1 FROM orders WHERE order_id = 'o0' FOR UPDATE")


async def test_overdue_orders_with_locked_rows_delay_no_others(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do_all([Execute(place(f"o{number}")) for number in range(5)])
        await _age(order, 31)
        async with _locked(order, "o0", "o1"):
            began = time.monotonic()
            await sweeper(order, rate=2).sweep()
            await sweeper(order, rate=2).sweep()
            assert time.monotonic() - began < 2
            rows = await order.rows("SELECT order_id FROM orders WHERE status = 'CANCELLED' ORDER BY 1")
            assert [row.order_id for row in rows] == ["o2", "o3", "o4"]


async def test_a_sweeper_whose_database_is_down_at_the_start_begins_when_it_is_back(
    postgres: Server, database: Database
) -> None:
    async with service_process("order", database("order")) as order:
        await order.engine.dispatcher.do(place("o1"))
        await _age(order, -60, "nudge_at")
        await asyncio.to_thread(postgres.kill)
        running = sweeper(order)
        running.period = 0.1
        task = asyncio.create_task(running.run())
        done, _ = await asyncio.wait({task}, timeout=1)
        assert not done
        await asyncio.to_thread(postgres.start)
        await order.until("SELECT nudge_at < now() + interval '10 seconds' FROM orders", True)
        assert not task.done()
        task.cancel()

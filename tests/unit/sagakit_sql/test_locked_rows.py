"""A row that another transaction has locked delays only what needs that row."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from checkout.messages import CancelOrder, OrderCancelled, OrderPlaced, StockReserved
from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.work import Execute, Item
from tests.postgres import Server
from tests.service_process import Replica, names, place, reserve, service_process

Database = Callable[[str], str]
QUICKLY = 1.0  # seconds within which the rest of a batch goes on


@asynccontextmanager
async def held(service: Replica, statement: str) -> AsyncIterator[None]:
    """Another session's transaction, in which `statement` has locked something."""
    async with service.database.connect() as connection:
        await connection.exec_driver_sql(statement)
        yield
        await connection.rollback()


async def timed(service: Replica, items: list[Item]) -> tuple[list[object], float]:
    began = time.monotonic()
    answers: list[object] = list(await service.engine.dispatcher.do_all(items))
    return answers, time.monotonic() - began


async def test_a_locked_stock_item_delays_only_the_orders_that_need_it(database: Database) -> None:
    async with service_process("inventory", database("inventory"), started=False) as inventory:
        items: list[Item] = [
            Execute(reserve(f"o{n}", "limited-edition" if n % 50 == 7 else "tea-pot")) for n in range(200)
        ]
        async with held(inventory, "SELECT 1 FROM stock_items WHERE sku = 'limited-edition' FOR UPDATE"):
            answers, seconds = await timed(inventory, items)
            assert [n for n, one in enumerate(answers) if isinstance(one, RowsLocked)] == [7, 57, 107, 157]
            assert names(answers).count("StockReserved") == 196
            assert seconds < QUICKLY
            assert await inventory.count("inbox") == await inventory.count("journal") == 196
        again, _ = await timed(inventory, [items[n] for n in (7, 57, 107, 157)])
        assert names(again) == ["StockReserved"] * 4


async def test_ten_locked_orders_delay_no_other_order(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(10)])
        async with held(order, "SELECT 1 FROM orders FOR UPDATE"):
            items: list[Item] = [Execute(CancelOrder(f"o{n}", "TIMED_OUT")) for n in range(10)]
            answers, seconds = await timed(order, [*items, *(Execute(place(f"p{n}")) for n in range(300))])
            assert names(answers) == ["RowsLocked"] * 10 + ["OrderPlaced"] * 300
            assert seconds < QUICKLY


async def test_the_claims_of_a_frozen_transaction_delay_nothing_else_for_long(database: Database) -> None:
    """A claim that is not committed is seen by no query: only waiting for it tells, so the batch is halved."""
    async with service_process("order", database("order"), started=False) as order:
        async with held(order, "INSERT INTO inbox (id) VALUES ('o17/PlaceOrder')"):
            began, waiting = time.monotonic(), {f"o{n}" for n in range(100)}
            while waiting - {"o17"}:
                for subject, answer in zip(
                    sorted(waiting),
                    await order.engine.dispatcher.do_all([Execute(place(one)) for one in sorted(waiting)]),
                    strict=True,
                ):
                    if isinstance(answer, OrderPlaced):
                        waiting.discard(subject)
                    else:
                        assert isinstance(answer, RowsLocked)
                assert time.monotonic() - began < 5
            assert waiting == {"o17"}
        assert isinstance(await order.engine.dispatcher.do(place("o17")), OrderPlaced)


async def test_a_request_behind_a_locked_row_ends_and_others_do_not_notice(database: Database) -> None:
    async with service_process("order", database("order"), started=False, door_timeout=1.0) as order:
        do = order.engine.dispatcher.do
        await do(place("o1"))
        async with held(order, "SELECT 1 FROM orders WHERE order_id = 'o1' FOR UPDATE"):
            began = time.monotonic()
            stuck = asyncio.create_task(do(CancelOrder("o1", "CUSTOMER_REQUESTED")))
            slowest = 0.0
            for number in range(20):
                before = time.monotonic()
                assert isinstance(await do(place(f"p{number}")), OrderPlaced)
                slowest = max(slowest, time.monotonic() - before)
            with pytest.raises(RowsLocked):
                await stuck
            assert 0.9 < time.monotonic() - began < 3
            assert slowest < QUICKLY
        assert await do(CancelOrder("o1", "CUSTOMER_REQUESTED")) == OrderCancelled("o1", "CUSTOMER_REQUESTED")


async def test_a_request_whose_row_is_freed_in_time_goes_through(database: Database) -> None:
    async with service_process("inventory", database("inventory"), started=False) as inventory:
        async with held(inventory, "SELECT 1 FROM stock_items WHERE sku = 'tea-pot' FOR UPDATE"):
            waiting = asyncio.create_task(inventory.engine.dispatcher.do(reserve("o1", "tea-pot")))
            await inventory.engine.dispatcher.do(reserve("o2", "milk-jug"))
            assert not waiting.done()
        assert isinstance(await waiting, StockReserved)


async def test_a_request_behind_a_batch_that_does_not_end_gets_an_answer(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), started=False, door_timeout=0.5) as order:
        await order.engine.dispatcher.do(place("o1"))
        postgres.signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="no answer within"):
            await order.engine.dispatcher.do(place("o2"))
        assert time.monotonic() - began < 2
        postgres.signal(signal.SIGCONT)
        assert isinstance(await order.engine.dispatcher.do(place("o2")), OrderPlaced)


async def test_a_cancelled_statement_is_tried_again_and_costs_its_neighbours_nothing(database: Database) -> None:
    async with service_process("inventory", database("inventory"), started=False) as inventory:
        async with held(inventory, "LOCK TABLE stock_items IN ACCESS EXCLUSIVE MODE"):
            task = asyncio.create_task(inventory.engine.dispatcher.do(reserve("o1")))
            async with asyncio.timeout(5):
                while True:
                    cancelled = await inventory.rows(
                        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    )
                    if cancelled:
                        break
        assert isinstance(await task, StockReserved)

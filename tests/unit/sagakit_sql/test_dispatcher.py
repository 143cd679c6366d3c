"""The dispatcher on a real database: claims, repeats, group commit, culprits."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from checkout.messages import (
    CancelOrder,
    CommitStock,
    ConfirmOrder,
    OrderCancelled,
    OrderPlaced,
    PlaceOrder,
    StockReserved,
)
from sagakit.ports import RowExists, RowRejected, StoreUnavailable
from sagakit.work import Execute, HandlerFailed
from tests.service_process import names, place, reserve, service_process

Database = Callable[[str], str]


async def test_a_repeat_answers_again_and_changes_nothing(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        do = order.engine.dispatcher.do
        first = await do(place("o1"))
        before = await order.rows("SELECT id, token FROM outbox_waiting")
        await order.execute("DELETE FROM outbox_batch")
        again = await do(replace(place("o1"), fingerprint="another"))
        assert isinstance(first, OrderPlaced)
        assert again == first
        after = await order.rows("SELECT id, token FROM outbox_waiting")
        assert [row.id for row in after] == [row.id for row in before] == ["o1/OrderPlaced"]
        assert await order.count("journal") == 1
        assert await order.count("inbox") == 1


async def test_a_command_that_lost_answers_with_the_decision_that_won(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        do = order.engine.dispatcher.do
        await do(place("o1"))
        won = await do(CancelOrder("o1", "CUSTOMER_REQUESTED"))
        assert await do(CancelOrder("o1", "TIMED_OUT")) == won == OrderCancelled("o1", "CUSTOMER_REQUESTED")
        assert await do(ConfirmOrder("o1")) == won
        assert await order.count("journal") == 2


async def test_commands_of_one_batch_about_one_order_follow_one_another(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        items = [
            Execute(place("o1")),
            Execute(ConfirmOrder("o1")),
            Execute(CancelOrder("o1", "TIMED_OUT")),
            Execute(place("o1")),
        ]
        answers = await order.engine.dispatcher.do_all(items)
        assert names(answers) == ["OrderPlaced", "OrderConfirmed", "OrderConfirmed", "OrderPlaced"]
        assert order.metrics.registry.get_sample_value("saga_transaction_seconds_count") == 1


async def test_concurrent_commands_share_transactions(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        answers = await asyncio.gather(*(order.engine.dispatcher.do(place(f"o{n}")) for n in range(400)))
        assert len(answers) == 400
        transactions = order.metrics.registry.get_sample_value("saga_transaction_seconds_count")
        assert transactions is not None
        assert transactions <= 3
        assert await order.count("orders") == 400


async def test_a_handler_that_raises_fails_alone_and_its_claim_is_not_kept(database: Database) -> None:
    async with service_process("inventory", database("inventory"), started=False) as inventory:
        items = [
            Execute(reserve("a")),
            Execute(CommitStock("unknown")),
            Execute(reserve("b")),
            Execute(CommitStock("b")),
        ]
        answers = await inventory.engine.dispatcher.do_all(items)
        assert names(answers) == ["StockReserved", "HandlerFailed", "StockReserved", "StockCommitted"]
        claimed = {row.id for row in await inventory.rows("SELECT id FROM inbox")}
        assert claimed == {"a/ReserveStock", "b/ReserveStock", "b/CommitStock"}
        assert isinstance(await inventory.engine.dispatcher.do(reserve("unknown")), StockReserved)
        assert names([await inventory.engine.dispatcher.do(CommitStock("unknown"))]) == ["StockCommitted"]


async def test_a_batch_full_of_culprits_ends_and_its_good_commands_go_through(database: Database) -> None:
    async with service_process("inventory", database("inventory"), started=False) as inventory:
        items = [Execute(reserve(f"o{n}") if n % 100 == 0 else CommitStock(f"u{n}")) for n in range(500)]
        answers = await inventory.engine.dispatcher.do_all(items)
        for number, answer in enumerate(answers):
            assert isinstance(answer, HandlerFailed if number % 100 else StockReserved)
        assert await inventory.count("inbox") == await inventory.count("journal") == 5


async def test_rows_that_the_database_rejects_fail_alone(database: Database) -> None:
    async with service_process("inventory", database("inventory"), started=False) as inventory:
        async with inventory.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE stock_items ADD CHECK (sku <> 'tea-pot' OR reserved = 0)")
        items = [Execute(reserve(f"o{n}", "tea-pot" if n == 37 else "milk-jug")) for n in range(60)]
        answers = await inventory.engine.dispatcher.do_all(items)
        assert [n for n, answer in enumerate(answers) if isinstance(answer, RowRejected)] == [37]
        assert names(answers).count("StockReserved") == 59
        assert await inventory.count("journal") == 59
        stock = await inventory.rows("SELECT reserved FROM stock_items WHERE sku = 'milk-jug'")
        assert stock[0].reserved == 59


async def test_a_row_that_exists_fails_alone_and_is_no_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do(replace(place("first"), idempotency_key="key-o7"))
        answers = await order.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(20)])
        assert [n for n, answer in enumerate(answers) if isinstance(answer, RowExists)] == [7]
        assert names(answers).count("OrderPlaced") == 19
        assert await order.count("inbox") == await order.count("orders") == 20
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "poison",
    [
        replace(place("nul"), idempotency_key="a\x00b"),
        replace(place("surrogate"), idempotency_key="a\ud800b"),
        place("".join(map(str, range(4000)))),
        replace(place("number"), idempotency_key=7),  # type: ignore[arg-type]
    ],
    ids=["nul", "surrogate", "too long for an index", "ill-typed"],
)
async def test_a_value_that_the_database_cannot_hold_is_rejected_and_not_an_outage(
    database: Database, poison: PlaceOrder
) -> None:
    async with service_process("order", database("order"), started=False) as order:
        answers = await order.engine.dispatcher.do_all(
            [Execute(place("good")), Execute(poison), Execute(place("fine"))]
        )
        assert isinstance(answers[0], OrderPlaced)
        assert isinstance(answers[1], RowRejected | HandlerFailed)
        assert isinstance(answers[2], OrderPlaced)


async def test_a_dispatcher_that_fails_tells_those_who_wait_and_starts_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service_process("order", database("order")) as order:

        def fails(changes: object) -> None:
            raise RuntimeError("a defect after the commit")

        with monkeypatch.context() as broken:
            broken.setattr(order.engine.dispatcher, "_committed", fails)
            with pytest.raises(StoreUnavailable, match="the dispatcher failed"):
                await order.engine.dispatcher.do(place("o1"))
        assert isinstance(await order.engine.dispatcher.do(place("o1")), OrderPlaced)

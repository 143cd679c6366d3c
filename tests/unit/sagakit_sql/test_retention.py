"""What has ended is pruned, and nothing else; its final row answers for ever."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from checkout.messages import (
    AuthorizePayment,
    CancelOrder,
    CapturePayment,
    CommitStock,
    ConfirmOrder,
    RecordPaymentSettled,
    RecordShipmentSettled,
    RecordStockSettled,
    ReleaseStock,
    VoidPayment,
)
from sagakit.message import Command
from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.postgres import retention
from sagakit.postgres.retention import Pruner
from sagakit.work import Execute, Nudge
from tests.service_process import ServiceProcess, basket, names, place, reserve, service_process

Database = Callable[[str], str]


def pruner(service: ServiceProcess, seconds: float = 0) -> Pruner:
    return Pruner(service.database, service.final_rows, seconds)


async def do(service: ServiceProcess, *commands: Command) -> list[str]:
    return names(await service.engine.dispatcher.do_all([Execute(command) for command in commands]))


async def paid(payment: ServiceProcess, *order_ids: str) -> None:
    await do(payment, *(AuthorizePayment(one, basket()) for one in order_ids))
    await do(payment, *(CapturePayment(one) for one in order_ids))


async def nothing_to_send(service: ServiceProcess) -> None:
    for table in ("outbox", "outbox_batch"):
        await service.execute(f"DELETE FROM {table}")


async def known(service: ServiceProcess, order_id: str) -> Sequence[int]:
    """How many claims, events and ledger entries there are."""
    tables = ("inbox", "id"), ("journal", "id"), ("ledger", "key")
    return [
        (await service.rows(f"SELECT count(*) FROM {table} WHERE {key} LIKE '{order_id}/%'"))[0][0]
        for table, key in tables
    ]


async def test_only_what_has_ended_is_pruned_and_the_ledger_stays(database: Database) -> None:
    async with service_process("payment", database("payment"), started=False) as payment:
        await paid(payment, "o1")
        await do(payment, AuthorizePayment("open", basket()), VoidPayment("tombstone"))
        before = await known(payment, "open")
        assert await pruner(payment).prune() == 2
        assert await known(payment, "o1") == [0, 0, 2]
        assert await known(payment, "tombstone") == [0, 0, 0]
        assert await known(payment, "open") == before
        rows = await payment.rows("SELECT order_id, status, pruned, checkout IS NULL, amount FROM payments ORDER BY 1")
        assert [tuple(row) for row in rows] == [
            ("o1", "CAPTURED", True, True, 100),
            ("open", "AUTHORIZED", False, False, 100),
            ("tombstone", "VOIDED", True, True, None),
        ]
        assert await pruner(payment).prune() == 0


async def test_every_late_command_is_answered_by_the_final_row_and_has_no_effect(database: Database) -> None:
    async with service_process("payment", database("payment"), started=False) as payment:
        await paid(payment, "o1")
        await do(payment, VoidPayment("o2"))
        await nothing_to_send(payment)
        await pruner(payment).prune()
        before = await payment.rows("SELECT * FROM payments ORDER BY order_id")
        late = [kind(one) for kind in (CapturePayment, VoidPayment) for one in ("o1", "o2")]
        again = await do(payment, *late, AuthorizePayment("o1", basket()), AuthorizePayment("o2", basket()))
        assert again == ["PaymentCaptured", "PaymentVoided"] * 3
        assert await payment.rows("SELECT * FROM payments ORDER BY order_id") == before
        assert [await known(payment, one) for one in ("o1", "o2")] == [[0, 0, 2], [0, 0, 0]]
        sent = await payment.rows("SELECT type FROM outbox_waiting ORDER BY 1")
        assert [row.type for row in sent] == ["PaymentCaptured", "PaymentVoided"], "somebody may still wait for them"


async def test_a_reservation_keeps_its_lines_and_takes_no_stock_again(database: Database) -> None:
    async with service_process("inventory", database("inventory"), started=False) as inventory:
        await do(inventory, reserve("o1"), reserve("o2"))
        await do(inventory, CommitStock("o1"), ReleaseStock("o2"))
        assert await pruner(inventory).prune() == 2
        stock = "SELECT reserved, committed FROM stock_items WHERE sku = 'espresso-cup'"
        late = await do(inventory, reserve("o1"), reserve("o2"), CommitStock("o1"), ReleaseStock("o2"))
        assert late == ["StockCommitted", "StockReleased"] * 2
        assert [tuple(row) for row in await inventory.rows(stock)] == [(0, 1)]
        lines = await inventory.rows("SELECT lines FROM reservations ORDER BY order_id")
        assert [row.lines for row in lines] == ['{"espresso-cup":1}'] * 2


async def test_an_order_is_pruned_when_it_is_settled_and_answers_its_clients(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await do(order, place("o1"), place("o2"))
        await do(order, ConfirmOrder("o1"), CancelOrder("o2", "TIMED_OUT"))
        assert await pruner(order).prune() == 0, "confirmed, but not settled"
        for record in (RecordStockSettled, RecordPaymentSettled, RecordShipmentSettled):
            await do(order, record("o1"), record("o2"))
        await nothing_to_send(order)
        assert await pruner(order).prune() == 2
        late = await do(
            order, CancelOrder("o1", "CUSTOMER_REQUESTED"), ConfirmOrder("o2"), place("o1"), RecordStockSettled("o2")
        )
        assert late == ["OrderConfirmed", "OrderCancelled", "OrderCompleted", "CancellationSettled"]
        assert names(await order.engine.dispatcher.do_all([Nudge("o1")])) == ["NoneType"]
        assert [await order.count(table) for table in ("inbox", "journal", "outbox_waiting")] == [0, 0, 0]


async def test_what_is_recent_or_still_calls_its_provider_is_not_pruned(database: Database) -> None:
    async with service_process("payment", database("payment"), started=False) as payment:
        await paid(payment, "o1", "o2")
        assert await pruner(payment, seconds=60).prune() == 0
        await payment.execute("UPDATE payments SET created_at = now() - interval '1 hour'")
        assert await pruner(payment, seconds=60).prune() == 0, "created long ago, but ended just now"
        await payment.execute("UPDATE journal SET recorded_at = now() - interval '1 hour'")
        await payment.execute(
            "INSERT INTO outbox (id, channel, key, type, body, is_call, token, leased_until) "
            "VALUES ('o2/authorize', 'provider', 'o2', 'authorize', '', true, 0, now())"
        )
        assert await pruner(payment, seconds=60).prune() == 1
        assert (await payment.rows("SELECT order_id FROM payments WHERE pruned"))[0][0] == "o1"


async def test_rows_that_never_end_do_not_keep_those_behind_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    async with service_process("payment", database("payment"), started=False) as payment:
        await do(payment, *(AuthorizePayment(f"open-{number}", basket()) for number in range(5)))
        await paid(payment, "o1", "o2")
        await nothing_to_send(payment)
        running = pruner(payment)
        assert sum([await running.prune() for _ in range(4)]) == 2
        assert running.progress is None, "the next round begins with the oldest row"


async def test_a_row_that_a_command_holds_is_left_to_the_next_round(database: Database) -> None:
    async with service_process("payment", database("payment"), started=False) as payment:
        await paid(payment, "o1", "o2")
        await nothing_to_send(payment)
        async with payment.database.begin() as other:
            await other.exec_driver_sql("SELECT 1 FROM payments WHERE order_id = 'o1' FOR UPDATE")
            assert await pruner(payment).prune() == 1
        assert await pruner(payment).prune() == 1


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RowsLocked()])
async def test_a_store_that_is_away_in_the_middle_of_a_round_is_asked_at_ease(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pauses, looks = list[float](), 0

    async def prune(self: Pruner) -> int:
        nonlocal looks
        looks += 1
        raise error

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if looks == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(Pruner, "prune", prune)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    one = Pruner(cast(Any, None), cast(Any, None), 3600)
    one.progress = datetime.now(UTC), "o1"
    with pytest.raises(asyncio.CancelledError):
        await one.run()
    assert pauses == [retention.IDLE] * 3

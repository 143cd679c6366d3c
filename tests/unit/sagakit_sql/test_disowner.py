"""An order that was never placed is disowned after its deadline, and never shown."""

import random
from collections.abc import Callable

import pytest

from checkout.messages import StockReserved
from order_service.disowner import Disowner
from sagakit.work import Continue, Nudge
from tests.service_process import ServiceProcess, basket, names, place, service_process

Database = Callable[[str], str]
LETTER = (
    "INSERT INTO dead_letter (id, body, cause, subject, at) "
    "VALUES ('{0}', '', 'unknown here', '{0}', now() - interval '{1} s')"
)


def disowner(order: ServiceProcess) -> Disowner:
    return Disowner(order.database, order.engine.dispatcher, deadline=30)


async def _write(order: ServiceProcess, *letters: tuple[str, int]) -> None:
    async with order.database.begin() as connection:
        for subject, age in letters:
            await connection.exec_driver_sql(LETTER.format(subject, age))


async def test_only_an_order_that_is_not_here_after_the_deadline_is_disowned(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do(place("placed"))
        await _write(order, ("ghost", 31), ("fresh", 5), ("placed", 31))
        assert await disowner(order).look() == 1
        assert await disowner(order).look() == 0
        rows = await order.rows("SELECT order_id, status, cancellation_reason FROM orders ORDER BY order_id")
        assert [tuple(row) for row in rows] == [("ghost", "CANCELLED", "UNKNOWN_ORDER"), ("placed", "PENDING", None)]
        sent = await order.rows("SELECT id FROM outbox_waiting WHERE key = 'ghost'")
        assert [row.id for row in sent] == ["ghost/OrderCancelled"]


async def test_a_foreign_event_about_an_order_that_is_not_here_fails(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        answers = await order.engine.dispatcher.do_all([Continue(StockReserved("ghost", basket())), Nudge("ghost")])
        assert names(answers) == ["HandlerFailed", "NoneType"]
        assert "unknown here" in str(answers[0])


async def test_a_subject_that_cannot_be_stored_is_tried_once_and_keeps_no_other_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("order_service.disowner.LIMIT", 1)
    dice = random.Random(7)
    odd = "".join(chr(dice.randrange(0x20000, 0x2A000)) for _ in range(2000))  # too long for an index
    async with service_process("order", database("order"), started=False) as order:
        await _write(order, ("ghost", 31))
        await order.execute(
            f"INSERT INTO dead_letter (id, body, cause, subject, at) "
            f"VALUES ('odd', '', 'odd', '{odd}', now() - interval '31 s')"
        )
        looks = disowner(order)
        assert [await looks.look() for _ in range(3)] == [1, 1, 0]
        rows = await order.rows("SELECT order_id, cancellation_reason FROM orders")
        assert [tuple(row) for row in rows] == [("ghost", "UNKNOWN_ORDER")]
    lines = [record.getMessage() for record in caplog.records if record.name == "order_service.disowner"]
    assert sorted("cannot be disowned" in line for line in lines) == [False, True]
    assert all(len(line) < 500 for line in lines)

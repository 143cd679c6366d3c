"""The database dies, freezes or refuses: nothing is half done, and the same process goes on when it is back."""

import asyncio
import signal
import time
import traceback
from collections.abc import Callable

import pytest

from checkout.messages import OrderPlaced
from sagakit.ports import StoreUnavailable
from sagakit.work import Execute, HandlerFailed
from tests.postgres import Server
from tests.service_process import Replica, place, service_process
from tests.waits import ENDS

Database = Callable[[str], str]


async def _steady(order: Replica, count: int = 300) -> list[object]:
    """Orders one after another, each insisted upon."""
    answers: list[object] = []

    async def one(number: int) -> None:
        await asyncio.sleep(number * 0.005)
        answers.extend(await order.engine.do_until_stored([Execute(place(f"o{number}"))]))

    await asyncio.gather(*(one(number) for number in range(count)))
    return answers


def _connecting(postgres: Server) -> float:
    """How many seconds a connection and a statement take, on this machine as busy as it is now."""
    began = time.monotonic()
    postgres.query(postgres.url("postgres"), "SELECT 1")
    return time.monotonic() - began


async def test_nothing_is_lost_or_doubled_when_the_server_is_killed(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order")) as order:
        work = asyncio.create_task(_steady(order))
        await asyncio.sleep(0.6)
        await asyncio.to_thread(postgres.kill)
        with pytest.raises(StoreUnavailable):
            await order.engine.dispatcher.do(place("refused"))
        await asyncio.to_thread(postgres.start)
        began = time.monotonic()
        assert isinstance(await order.engine.dispatcher.do(place("first")), OrderPlaced)
        assert time.monotonic() - began < 2 + 10 * _connecting(postgres)
        answers = await work
        assert len(answers) == 300
        assert all(isinstance(answer, OrderPlaced) for answer in answers)
        assert await order.count("orders") == await order.count("journal") == await order.count("inbox") == 301
        await order.drained(15)
        assert {row.key for row in order.mode.published} >= {f"o{number}" for number in range(300)}


async def test_stale_connections_cost_no_command(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await asyncio.gather(*(order.count("orders") for _ in range(6)))
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.start)
        assert isinstance(await order.engine.dispatcher.do(place("first")), OrderPlaced)
        assert await asyncio.gather(*(order.count("orders") for _ in range(6))) == [1] * 6


async def test_a_frozen_server_is_an_outage_with_an_end(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dispatcher.do(place("before"))
        postgres.signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await order.engine.dispatcher.do(place("during"))
        assert time.monotonic() - began < ENDS
        postgres.signal(signal.SIGCONT)
        began = time.monotonic()
        assert isinstance(await order.engine.dispatcher.do(place("during")), OrderPlaced)
        assert time.monotonic() - began < 2 + 10 * _connecting(postgres)
        assert await order.count("journal") == 2


async def test_cancelled_readers_poison_no_connection(database: Database) -> None:
    async with service_process("order", database("order"), started=False, db_pool=2) as order:
        for round_ in range(12):
            readers = [asyncio.create_task(order.rows("SELECT pg_sleep(0.2)")) for _ in range(4)]
            await asyncio.sleep(0.01 * round_)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            assert isinstance(await order.engine.dispatcher.do(place(f"o{round_}")), OrderPlaced)
        assert order.database.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_an_exhausted_pool_is_an_outage(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with service_process("order", database("order"), started=False, db_pool=1) as order:
        monkeypatch.setattr(order.database.pool, "_timeout", 0.2)
        hogs = [asyncio.create_task(order.rows("SELECT pg_sleep(1)")) for _ in range(3)]
        await asyncio.sleep(0.1)
        with pytest.raises(StoreUnavailable):
            await order.engine.dispatcher.do(place("o1"))
        await asyncio.gather(*hogs)
        assert isinstance(await order.engine.dispatcher.do(place("o1")), OrderPlaced)


async def test_an_error_that_nobody_foresaw_is_a_defect_of_the_command_and_not_an_outage(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        async with order.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE orders RENAME COLUMN fingerprint TO digest")
        answers = await order.engine.do_until_stored([Execute(place("o1")), Execute(place("o2"))])
        assert [type(answer) for answer in answers] == [HandlerFailed, HandlerFailed]
        assert "digest" in str(answers[0]) or "fingerprint" in str(answers[0])
        async with order.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE orders RENAME COLUMN digest TO fingerprint")
        assert isinstance(await order.engine.dispatcher.do(place("o1")), OrderPlaced)


async def test_an_error_of_the_database_shows_no_values(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        async with order.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE journal RENAME COLUMN data TO content")
        (answer,) = await order.engine.do_until_stored([Execute(place("o1"))])
        assert isinstance(answer, HandlerFailed)
        shown = "".join(traceback.format_exception(answer))
        assert "content" in shown or "data" in shown
        assert "tok_visa" not in shown
        assert "1 Main St" not in shown


async def test_a_session_that_sits_in_a_transaction_is_ended_by_the_server(
    postgres: Server, database: Database
) -> None:
    async with service_process("order", database("order"), started=False) as order:
        settings = await order.rows("SELECT name, setting FROM pg_settings WHERE name ~ '^(lock|idle_in).*timeout$'")
        assert {row.name: int(row.setting) for row in settings} == {
            "lock_timeout": 200,
            "idle_in_transaction_session_timeout": 10000,
        }

"""Readiness and the pool against a real server: read-only and ended sessions, tables that are not as they should be."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.engine import make_url

from checkout.messages import OrderPlaced
from sagakit.app.host import folder_of
from sagakit.app.readiness import DatabaseProbe, revisions
from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.postgres.connection import engine_for
from tests.postgres import Server, definition
from tests.service_process import ServiceProcess, place, service_process

Database = Callable[[str], str]
RECOVERY = 5.0  # seconds after the cause is gone within which writes work again, on a machine that does much else


def end_sessions(postgres: Server, url: str) -> None:
    name = make_url(url).database
    postgres.query(url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' "
                   "AND pid <> pg_backend_pid()")  # fmt: skip


def read_only(postgres: Server, url: str, value: str) -> None:
    """As after a failover to a standby and back: what is connected before stays as it is."""
    postgres.query(postgres.url("postgres"), f"ALTER DATABASE {make_url(url).database} {value}")


async def said(probe: DatabaseProbe, wanted: Callable[[str], bool]) -> bool:
    """Whether it says so within RECOVERY."""
    end = time.monotonic() + RECOVERY
    while not (right := wanted(await probe.problem())) and time.monotonic() < end:  # noqa: ASYNC110 - only it knows
        await asyncio.sleep(0.05)
    return right


async def writes(order: ServiceProcess, order_id: str) -> None:
    """Until a write works, within RECOVERY."""
    async with asyncio.timeout(RECOVERY):
        while True:
            try:
                assert isinstance(await order.engine.dispatcher.do(place(order_id)), OrderPlaced)
                return
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def pooled_read_only(order: ServiceProcess, postgres: Server, url: str) -> None:
    """Fill the pool with sessions that are read-only and stay so, although the database is writable again."""
    read_only(postgres, url, "SET default_transaction_read_only = on")
    end_sessions(postgres, url)
    await asyncio.gather(*(order.rows("SELECT pg_sleep(0.1)") for _ in range(6)))
    read_only(postgres, url, "RESET default_transaction_read_only")


@asynccontextmanager
async def probing(order: ServiceProcess) -> AsyncIterator[DatabaseProbe]:
    made = definition("order")
    probe = DatabaseProbe(order.database, made.metadata, revisions(folder_of(made)), fresh=0.0)
    try:
        yield probe
    finally:
        await probe.close()


async def test_the_first_refused_write_drops_every_read_only_session(postgres: Server, database: Database) -> None:
    async with service_process("order", url := database("order"), started=False) as order:
        await pooled_read_only(order, postgres, url)
        with pytest.raises(StoreUnavailable, match="25006"):
            await order.engine.dispatcher.do(place("first"))
        for number in range(8):
            assert isinstance(await order.engine.dispatcher.do(place(f"o{number}")), OrderPlaced)
        assert [row[0] for row in await asyncio.gather(*(_read_only(order) for _ in range(6)))] == ["off"] * 6


async def _read_only(order: ServiceProcess) -> list[str]:
    return [row[0] for row in await order.rows("SELECT current_setting('transaction_read_only'), pg_sleep(0.1)")]


async def test_ended_sessions_cost_a_second_at_most(postgres: Server, database: Database) -> None:
    async with service_process("order", url := database("order"), started=False) as order:
        await asyncio.gather(*(order.rows("SELECT pg_sleep(0.1)") for _ in range(6)))
        hog = asyncio.create_task(order.rows("SELECT pg_sleep(5)"))
        await order.until("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep.5'", 1)
        end_sessions(postgres, url)
        with pytest.raises(Exception, match="terminat"):
            await hog
        await writes(order, "first")
        await asyncio.gather(*(order.rows("SELECT 1") for _ in range(6)))


async def test_sessions_do_not_grow_old(database: Database) -> None:
    pooled = engine_for(database("order"), 1)
    assert 60 <= pooled.pool._recycle <= 3600  # type: ignore[attr-defined]
    await pooled.dispose()


async def test_readiness_sees_a_read_only_database_and_its_end(postgres: Server, database: Database) -> None:
    async with service_process("order", url := database("order"), started=False) as order, probing(order) as probe:
        assert await probe.problem() == ""
        read_only(postgres, url, "SET default_transaction_read_only = on")
        end_sessions(postgres, url)
        await asyncio.gather(*(order.rows("SELECT pg_sleep(0.1)") for _ in range(6)))
        assert await said(probe, lambda problem: "read-only" in problem)
        read_only(postgres, url, "RESET default_transaction_read_only")
        assert await said(probe, lambda problem: problem == "")
        # ready means that it can write: what is pooled from before is gone, nobody has to fail for it
        assert isinstance(await order.engine.dispatcher.do(place("first")), OrderPlaced)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE orders RENAME COLUMN nudge_at TO nudged_at", "orders.nudge_at"),
        ("ALTER TABLE outbox RENAME TO sent", "outbox"),
        ("DROP TABLE dead_letter", "dead_letter"),
        ("DROP TABLE alembic_version", "alembic_version"),
        ("DELETE FROM alembic_version", "not migrated"),
    ],
)
async def test_readiness_sees_tables_that_are_not_as_they_should_be(
    postgres: Server, database: Database, statement: str, reason: str
) -> None:
    async with service_process("order", url := database("order"), started=False) as order, probing(order) as probe:
        assert await probe.problem() == ""
        postgres.query(url, statement)
        assert reason in await probe.problem()


async def test_an_older_revision_is_not_migrated_and_a_newer_one_is(postgres: Server, database: Database) -> None:
    """While a stack is rolled over to a newer version, its migrations come before its code."""
    async with service_process("order", url := database("order"), started=False) as order:
        known = ("0000", *revisions(folder_of(definition("order"))))
        probe = DatabaseProbe(order.database, definition("order").metadata, known, fresh=0.0)
        assert await probe.problem() == ""
        postgres.query(url, "UPDATE alembic_version SET version_num = '0000'")
        assert await probe.problem() == f"not migrated: at 0000 instead of {known[-1]}"
        postgres.query(url, "UPDATE alembic_version SET version_num = '9999'")
        assert await probe.problem() == ""
        await probe.close()


async def test_readiness_ends_in_time_when_the_server_is_gone_or_silent(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order, probing(order) as probe:
        assert await probe.problem() == ""
        await asyncio.to_thread(postgres.kill)
        async with asyncio.timeout(3):  # refused, or cut off by a process of the server's that was still dying
            assert re.fullmatch("not reachable: [A-Za-z]+Error", await probe.problem())
        await asyncio.to_thread(postgres.start)
        assert await probe.problem() == ""
        postgres.signal(signal.SIGSTOP)
        for _ in range(3):
            async with asyncio.timeout(3):
                assert await probe.problem() == "no answer within 1 s"
        postgres.signal(signal.SIGCONT)
        assert await said(probe, lambda problem: problem == "")


async def test_a_pool_that_is_busy_is_no_outage(database: Database) -> None:
    url = database("order")
    async with service_process("order", url, started=False, db_pool=1) as order, probing(order) as probe:
        hogs = [asyncio.create_task(order.rows("SELECT pg_sleep(4)")) for _ in range(3)]
        async with asyncio.timeout(3):
            while order.database.pool.checkedout() < 3:  # type: ignore[attr-defined]  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        async with asyncio.timeout(3):
            assert await probe.problem() == ""
        await asyncio.gather(*hogs)


async def test_a_verdict_is_good_for_a_while_and_asked_for_once(postgres: Server, database: Database) -> None:
    async with service_process("order", url := database("order"), started=False) as order:
        made = definition("order")
        probe = DatabaseProbe(order.database, made.metadata, revisions(folder_of(made)), fresh=60.0)
        assert set(await asyncio.gather(*(probe.problem() for _ in range(20)))) == {""}
        end_sessions(postgres, url)
        postgres.query(url, "DROP TABLE dead_letter")
        assert await probe.problem() == ""
        await probe.close()


def failing(error: Exception) -> Callable[[], Coroutine[None, None, None]]:
    async def work() -> None:
        raise error

    return work


async def test_what_is_not_a_tasks_own_fault_does_not_count(database: Database) -> None:
    async with service_process("order", database("order"), retry_initial=0.01, retry_max=0.1) as order:
        engine, refused = order.engine, ConnectionRefusedError(111, "refused")

        async def away() -> None:
            raise refused

        engine.dependencies.watch("kafka", away)
        for name, error in {
            "store": StoreUnavailable("away"),
            "rows": RowsLocked(frozenset({"o1"})),
            "broker": refused,
            "bug": KeyError("bug"),
        }.items():
            engine.background.start(name, failing(error))
        async with asyncio.timeout(5):
            while not engine.beyond_bound():  # noqa: ASYNC110 - the pauses of what is watched are real time
                await asyncio.sleep(0.05)
        assert engine.ailing().keys() == {"store", "rows", "broker", "bug"}
        assert engine.beyond_bound().keys() == {"bug"}

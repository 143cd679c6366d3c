"""Commits that wait for a standby, on a real primary whose standby is not there: nothing is shown, nothing is lost.

The server waits for a standby that nobody has, as it does when the one it has is dead; when it waits for none again, it
is as if that one were back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.app.host import folder_of
from sagakit.app.readiness import DatabaseProbe, revisions
from sagakit.ports import StoreUnavailable
from sagakit.postgres.connection import connected, engine_for
from sagakit.postgres.standby import GRACE, NOT_CONFIRMED, Standby
from tests.postgres import Server, definition

Database = Callable[[str], str]
SECONDS = 0.5
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3)' AND pid <> pg_backend_pid()"
RECOVERY = 5.0  # seconds, on a machine that does much else


@pytest.fixture
def dead(postgres: Server) -> Iterator[Callable[[bool], None]]:
    """Says whether commits wait for a standby that does not come; afterwards they do not."""
    admin = postgres.url("postgres")

    def set_to(wait: bool) -> None:
        postgres.query(admin, f"ALTER SYSTEM SET synchronous_standby_names = '{'nobody' if wait else ''}'")
        postgres.query(admin, "SELECT pg_reload_conf()")
        postgres.query(admin, "CHECKPOINT")  # whoever makes one has read its settings, and tells all others to wait

    yield set_to
    set_to(False)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[AsyncEngine, Standby]]:
    standby = Standby(SECONDS)
    engine = engine_for(url, 2, standby=standby)
    try:
        yield engine, standby
    finally:
        await engine.dispose()
        await standby.close()


async def write(engine: AsyncEngine, value: int) -> None:
    async with connected(engine) as connection, connection.begin():
        await connection.execute(text(f"INSERT INTO noted VALUES ({value})"))


async def sleep(engine: AsyncEngine) -> None:
    async with connected(engine) as connection:
        await connection.execute(text("SELECT pg_sleep(3)"))


async def noted(engine: AsyncEngine) -> list[int]:
    async with connected(engine) as connection:
        return sorted((await connection.scalars(text("SELECT value FROM noted"))).all())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(RECOVERY):
        while not holds():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.02)


async def said(probe: DatabaseProbe, holds: Callable[[str], bool]) -> None:
    async with asyncio.timeout(RECOVERY):
        while not holds(await probe.problem()):  # noqa: ASYNC110 - only it knows
            await asyncio.sleep(0.02)


@pytest.fixture
async def url(postgres: Server) -> str:
    made = postgres.empty()
    postgres.query(made, "CREATE TABLE noted (value int)")
    return made


def visible(postgres: Server, url: str) -> list[int]:
    return sorted(row[0] for row in postgres.query(url, "SELECT value FROM noted"))


def waiting(postgres: Server) -> int:
    found = postgres.query(
        postgres.url("postgres"), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    )
    return int(found[0][0])


async def test_a_commit_that_waits_too_long_is_an_outage_and_is_seen_by_nobody_until_the_standby_is_back(
    postgres: Server, url: str, dead: Callable[[bool], None]
) -> None:
    async with opened(url) as (engine, _):
        await write(engine, 1)
        dead(True)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await write(engine, 2)
        assert time.monotonic() - began < SECONDS + 1
        # the time-out has cancelled nothing: the server waits on, and shows nobody what no standby has
        assert visible(postgres, url) == [1]
        assert waiting(postgres) >= 1
        dead(False)
        await until(lambda: visible(postgres, url) == [1, 2])
        await until(lambda: waiting(postgres) == 0)


async def test_a_commit_whose_task_is_cancelled_is_not_cancelled_at_the_server(
    postgres: Server, url: str, dead: Callable[[bool], None]
) -> None:
    async with opened(url) as (engine, _):
        await write(engine, 1)
        dead(True)
        task = asyncio.create_task(write(engine, 2))
        await until(lambda: waiting(postgres) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert visible(postgres, url) == [1]
        assert waiting(postgres) >= 1


async def test_after_a_timeout_no_write_begins_until_a_commit_is_confirmed(
    postgres: Server, url: str, dead: Callable[[bool], None]
) -> None:
    async with opened(url) as (engine, standby):
        await write(engine, 1)
        dead(True)
        with pytest.raises(StoreUnavailable):
            await write(engine, 2)
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(StoreUnavailable, match=NOT_CONFIRMED):
                await standby.check()
            with pytest.raises(StoreUnavailable, match=NOT_CONFIRMED):
                await write(engine, 3)  # no session is opened for it either
        assert time.monotonic() - began < GRACE + SECONDS  # the first one waited for GRACE, and none for a commit
        assert 1 <= waiting(postgres) <= 2  # the one that was given up, and the one that asks
        dead(False)
        await until(lambda: standby._probe is not None and standby._probe.done())
        await standby.check()
        await write(engine, 4)
        assert await noted(engine) == [1, 2, 4]


async def test_a_session_begins_only_when_the_standby_has_what_can_be_read_in_it(
    url: str, dead: Callable[[bool], None]
) -> None:
    """A primary that was started again shows what is on its own disk."""
    dead(True)
    async with opened(url) as (engine, _):
        with pytest.raises(StoreUnavailable, match=NOT_CONFIRMED):
            await noted(engine)
        dead(False)
        async with asyncio.timeout(RECOVERY):
            while True:
                try:
                    assert await noted(engine) == []
                    return
                except StoreUnavailable:
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize("cancelled", [False, True], ids=["slow", "cancelled"])
async def test_a_statement_that_ends_early_for_another_reason_costs_its_session_and_nobody_elses_write(
    postgres: Server, url: str, cancelled: bool
) -> None:
    async with opened(url) as (engine, standby):
        await write(engine, 1)
        sleeping = asyncio.create_task(sleep(engine))
        if cancelled:
            await until(lambda: bool(postgres.query(url, SLEEPING)[0][0]))
            sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
        await standby.check()
        await write(engine, 2)
        await until(lambda: standby._probe is None or standby._probe.done())
        assert visible(postgres, url) == [1, 2]


async def test_readiness_says_that_the_standby_is_dead_and_when_it_is_back(
    database: Database, dead: Callable[[bool], None]
) -> None:
    made = definition("order")
    engine = engine_for(database("order"), 1)
    probe = DatabaseProbe(engine, made.metadata, revisions(folder_of(made)), fresh=0.0, standby=True)
    try:
        assert await probe.problem() == ""
        dead(True)
        await said(probe, lambda problem: NOT_CONFIRMED in problem)
        dead(False)
        await said(probe, lambda problem: problem == "")
    finally:
        await probe.close()
        await engine.dispose()

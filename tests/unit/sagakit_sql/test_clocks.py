"""The database's clock is set by an hour, with orders and outbox rows in flight: nothing is lost, nothing waits long.

A schema `clock` has functions of the names that PostgreSQL's own clock has, and stands before them in the search path
of the database: they show the same time, moved by an offset in a table.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from checkout.messages import AuthorizePayment, ConfirmOrder, OrderCancelled
from order_service.sweeper import Sweeper
from sagakit.work import Execute
from tests.postgres import Server
from tests.service_process import ServiceProcess, basket, place, service_process
from tests.unit.sagakit_sql.test_caller import Scripted

HOUR = 3_600.0
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR, -12.0], ids=["forward", "back", "a little back"])
SHIFTED = """
CREATE SCHEMA clock
CREATE TABLE clock.shift AS SELECT 0.0::float8 AS seconds
CREATE FUNCTION clock.now() RETURNS timestamptz STABLE LANGUAGE sql AS
 'SELECT pg_catalog.now() + (SELECT pg_catalog.make_interval(secs => seconds) FROM clock.shift)'
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS
 'SELECT pg_catalog.clock_timestamp() + (SELECT pg_catalog.make_interval(secs => seconds) FROM clock.shift)'
"""


class Clock:
    """The clock of one database."""

    def __init__(self, server: Server, url: str) -> None:
        self._server, self.url = server, url

    def step(self, seconds: float) -> None:
        self._server.query(self.url, f"UPDATE clock.shift SET seconds = seconds + {seconds}")


def in_front(server: Server, url: str) -> str:
    """Put the schema `clock` in front of PostgreSQL's own for whoever connects; the name of the database."""
    name = url.rsplit("/", 1)[1]
    server.query(url, f"ALTER DATABASE {name} SET search_path = clock, pg_catalog, public")
    return name


@pytest.fixture(scope="module")
def templates(postgres_server: Server) -> Mapping[str, str]:
    """A database with such a clock for each service, of which the tests get copies."""
    made = {}
    for service in ("order", "payment"):
        url = postgres_server.empty()
        for statement in SHIFTED.replace("\n ", " ").strip().splitlines():
            postgres_server.query(url, statement)
        made[service] = in_front(postgres_server, url)
        postgres_server.migrate(service, url)
    return made


@pytest.fixture
def clock(templates: Mapping[str, str], postgres: Server) -> Callable[[str], Clock]:
    """Makes databases whose clock can be set."""

    def make(service: str) -> Clock:
        url = postgres.copy(templates[service], service)
        in_front(postgres, url)
        return Clock(postgres, url)

    return make


def sweeper(order: ServiceProcess, deadline: float = 30, nudge_after: float = 2) -> Sweeper:
    return Sweeper(order.database, order.engine, deadline=deadline, nudge_after=nudge_after, rate=200, period=0.05)


@asynccontextmanager
async def sweeping(swept: Sweeper) -> AsyncIterator[None]:
    task = asyncio.create_task(swept.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_service_reads_the_clock_that_is_set(clock: Callable[[str], Clock]) -> None:
    shifted = clock("order")
    shifted.step(HOUR)
    async with service_process("order", shifted.url, started=False) as order:
        await order.engine.dispatcher.do(place("o1"))
        for table, columns in (
            ("orders", ("created_at", "updated_at", "nudge_at")),
            ("outbox_batch", ("created_at", "leased_until")),
            ("journal", ("recorded_at",)),
            ("inbox", ("claimed_at",)),
        ):
            for column in columns:
                (found,) = await order.rows(
                    f"SELECT extract(epoch FROM {column} - pg_catalog.now())::float8 AS ahead FROM {table}"
                )
                assert found.ahead == pytest.approx(HOUR, abs=30), (table, column)


@STEPS
async def test_leased_messages_whose_relay_died_are_published_within_a_bound(
    clock: Callable[[str], Clock], step: float
) -> None:
    shifted = clock("order")
    async with service_process("order", shifted.url, started=False, outbox_lease=5.0) as dying:
        await dying.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(20)])
    shifted.step(step)
    began = time.monotonic()
    async with service_process("order", shifted.url, outbox_lease=5.0, retry_max=5.0) as order:
        await order.drained(15 + 5)
        assert time.monotonic() - began < 15 + 5
        assert {row.key for row in order.mode.published} == {f"o{n}" for n in range(20)}


@STEPS
async def test_what_could_not_be_published_is_tried_again_within_a_bound(
    clock: Callable[[str], Clock], step: float
) -> None:
    shifted = clock("order")
    async with service_process("order", shifted.url, outbox_lease=1.0, retry_max=1.0) as order:
        order.mode.failing = True
        await order.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(5)])
        await order.until("SELECT count(*) > 0 FROM outbox WHERE attempts > 1", True)
        shifted.step(step)
        order.mode.failing = False
        await order.drained(15)


@STEPS
async def test_a_call_that_is_under_way_is_made_again_within_a_bound(
    clock: Callable[[str], Clock], step: float
) -> None:
    shifted, provider = clock("payment"), Scripted(pause=0.05)
    settings = {"providers": "sandbox", "outbox_lease": 1.0, "retry_max": 0.5}
    async with service_process("payment", shifted.url, provider=provider, started=False, **settings) as dying:
        await dying.engine.dispatcher.do(AuthorizePayment("o1", basket()))
    shifted.step(step)
    async with service_process("payment", shifted.url, provider=provider, **settings) as payment:
        await payment.until("SELECT count(*) FROM outbox WHERE is_call", 0, 15)
        assert provider.calls == {"o1/authorize": 1}


@STEPS
async def test_an_order_without_progress_is_nudged_within_a_bound(clock: Callable[[str], Clock], step: float) -> None:
    shifted = clock("order")
    settings = {"saga_nudge_after": 0.2}
    async with service_process("order", shifted.url, **settings) as order, sweeping(sweeper(order, nudge_after=0.2)):
        await order.engine.dispatcher.do_all([Execute(place("o1")), Execute(ConfirmOrder("o1"))])
        await order.until("SELECT nudges > 0 FROM orders", True)
        shifted.step(step)
        (before,) = await order.rows("SELECT nudges FROM orders")
        await order.until(f"SELECT nudges > {before.nudges + 1} FROM orders", True, 12 + 8)


async def test_a_step_forward_cancels_no_order_before_its_time_and_the_overdue_in_time(
    clock: Callable[[str], Clock],
) -> None:
    shifted = clock("order")
    async with service_process("order", shifted.url) as order:
        swept = sweeper(order, deadline=4)
        await swept.sweep()
        await order.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(10)])
        began = time.monotonic()
        shifted.step(HOUR)
        async with sweeping(swept):
            await order.engine.dispatcher.do(place("late"))
            while time.monotonic() - began < 3.5:
                assert await order.rows("SELECT 1 FROM orders WHERE status = 'CANCELLED'") == []
                await asyncio.sleep(0.1)
            assert not isinstance(await order.engine.dispatcher.do(ConfirmOrder("o0")), OrderCancelled)
            await order.until("SELECT count(*) FROM orders WHERE status = 'CANCELLED'", 10, 6)


async def test_a_step_back_postpones_no_deadline_by_it_and_cancels_no_good_order(
    clock: Callable[[str], Clock],
) -> None:
    shifted = clock("order")
    async with service_process("order", shifted.url) as order, sweeping(sweeper(order, deadline=3)):
        await order.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(10)])
        began = time.monotonic()
        shifted.step(-HOUR)
        await order.engine.dispatcher.do(place("after"))
        while time.monotonic() - began < 2.5:
            assert await order.rows("SELECT 1 FROM orders WHERE status = 'CANCELLED'") == []
            await asyncio.sleep(0.1)
        assert not isinstance(await order.engine.dispatcher.do(ConfirmOrder("o0")), OrderCancelled)
        await order.until("SELECT count(*) FROM orders WHERE status = 'CANCELLED'", 10, 2 * 3 + 3)
        rows = await order.rows("SELECT status FROM orders WHERE order_id = 'o0'")
        assert [row.status for row in rows] == ["CONFIRMED"]

"""The outbox table and the relay: leases, tokens, and rows that survive whatever happens while they are published."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from msgspec.structs import replace

from checkout.messages import OrderPlaced
from sagakit.message import id_of
from sagakit.work import Execute
from tests.postgres import Server
from tests.service_process import place, service_process

Database = Callable[[str], str]
ID = id_of("o1", OrderPlaced)


async def test_a_committed_row_is_leased_until_the_lease_ends(database: Database) -> None:
    async with service_process("order", database("order"), started=False, outbox_lease=0.4) as order:
        await order.engine.dispatcher.do(place("o1"))
        assert await order.store.lease_due(calls=False, limit=10) == []
        await asyncio.sleep(0.5)
        taken = await order.store.lease_due(calls=False, limit=10)
        assert [row.id for row in taken] == [ID]
        assert await order.store.lease_due(calls=False, limit=10) == []
        assert await order.store.lease_due(calls=True, limit=10) == []
        await order.store.delete(taken)
        assert await order.count("outbox_waiting") == 0


async def test_a_row_renewed_during_a_publish_outlives_the_old_token(database: Database) -> None:
    async with service_process("order", database("order"), started=False, outbox_lease=0.5) as order:
        await order.engine.dispatcher.do(place("o1"))
        await asyncio.sleep(0.6)
        taken = await order.store.lease_due(calls=False, limit=10)
        await order.engine.dispatcher.do(place("o1"))
        before = await order.rows("SELECT * FROM outbox_batch")
        await order.store.delete(taken)
        await order.store.postpone(taken, 60)
        assert await order.rows("SELECT * FROM outbox_batch") == before
        await asyncio.sleep(0.6)
        assert len(await order.store.lease_due(calls=False, limit=10)) == 1


async def test_a_postponed_row_counts_an_attempt_and_comes_due_again(database: Database) -> None:
    async with service_process("order", database("order"), started=False, outbox_lease=0.1) as order:
        await order.engine.dispatcher.do(place("o1"))
        await asyncio.sleep(0.2)
        await order.store.postpone(await order.store.lease_due(calls=False, limit=10), 0.6)
        assert await order.store.lease_due(calls=False, limit=10) == []
        await asyncio.sleep(0.7)
        assert [row.attempts for row in await order.store.lease_due(calls=False, limit=10)] == [1]


async def test_a_lease_returns_no_more_rows_than_its_limit(database: Database) -> None:
    async with service_process("order", database("order"), started=False, outbox_lease=0.5) as order:
        await order.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(50)])
        await asyncio.sleep(0.6)
        first, second = await asyncio.gather(*(order.store.lease_due(calls=False, limit=20) for _ in range(2)))
        assert len({row.id for row in (*first, *second)}) == 40


async def test_what_failed_is_published_however_busy_the_relay_is(database: Database) -> None:
    async with service_process("order", database("order")) as order:
        order.mode.failing = True
        await order.engine.dispatcher.do(place("o1"))
        await asyncio.sleep(0.1)
        order.mode.failing = False
        for number in range(100):
            await order.engine.dispatcher.do(place(f"busy{number}"))
            await asyncio.sleep(0.02)
        assert ID in [row.id for row in order.mode.published]


async def test_a_row_that_no_broker_accepts_stays_and_delays_no_other(database: Database) -> None:
    async with service_process("order", database("order"), outbox_poll=0.1, retry_initial=0.05, retry_max=0.2) as order:
        order.mode.refused = {"o42"}
        began = time.monotonic()
        await order.engine.dispatcher.do_all([Execute(place(f"o{number}")) for number in range(100)])
        await order.until("SELECT count(*) FROM outbox_waiting", 1)
        assert time.monotonic() - began < 2
        await order.until("SELECT attempts > 6 FROM outbox_waiting", True)
        published = Counter(row.key for row in order.mode.published)
        assert published == Counter(f"o{number}" for number in range(100) if number != 42)
        order.mode.refused.clear()
        await order.drained(2)


async def test_what_was_published_is_counted_with_its_bytes_and_what_failed_is_not(database: Database) -> None:
    async with service_process("order", database("order"), outbox_lease=0.1) as order:
        count = order.metrics.registry.get_sample_value
        order.mode.failing = True
        await order.engine.dispatcher.do(place("o1"))
        await order.until("SELECT attempts > 0 FROM outbox_waiting", True)
        assert count("saga_outbox_published_bytes_total", {"name": "OrderPlaced"}) is None
        order.mode.failing = False
        await order.engine.dispatcher.do(place("o2"))
        await order.drained()
        bodies = [len(row.body) for row in order.mode.published]
        assert len(bodies) == 2
        assert count("saga_outbox_published_total", {"name": "OrderPlaced"}) == 2
        assert count("saga_outbox_published_bytes_total", {"name": "OrderPlaced"}) == sum(bodies) > 0


async def test_a_relay_survives_its_database_while_publishing_fails(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), outbox_lease=0.5) as order:
        order.mode.failing, order.mode.pause = True, 0.3
        await order.engine.dispatcher.do(place("o1"))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(postgres.kill)
        await asyncio.sleep(1)
        order.mode.failing = False
        await asyncio.to_thread(postgres.start)
        await order.drained()
        assert [row.id for row in order.mode.published] == [ID]


async def test_an_offered_row_whose_lease_is_over_is_left_to_whoever_took_it(database: Database) -> None:
    url = database("order")
    async with (
        service_process("order", url, outbox_lease=0.3) as slow,
        service_process("order", url, outbox_lease=5) as quick,
    ):
        slow.mode.pause = 1.0
        await slow.engine.dispatcher.do(place("o0"))
        await asyncio.sleep(0.05)
        await slow.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(1, 20)])
        await slow.drained(10)
        await asyncio.sleep(1.1)
        assert len(quick.mode.published) >= 19
        assert [row.key for row in slow.mode.published] == ["o0"]


async def test_a_leased_row_is_what_was_committed(database: Database) -> None:
    async with service_process("order", database("order"), started=False, outbox_lease=0.1) as order:
        await order.engine.dispatcher.do(place("o1"))
        await asyncio.sleep(0.2)
        (row,) = await order.store.lease_due(calls=False, limit=1)
        assert (row.id, row.channel, row.key, row.type) == (ID, "events", "o1", "OrderPlaced")
        assert row == replace(row)

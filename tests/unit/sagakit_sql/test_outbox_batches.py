"""The messages of a commit are one row, until the first time that they part ways; nobody but the table notices it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from sagakit.ports import Changes, OutboxRow
from sagakit.work import Execute
from tests.service_process import ServiceProcess, place, service_process

Database = Callable[[str], str]
# What the version before batches wrote for a message.
OLD_ROW = (
    "INSERT INTO outbox (id, channel, key, type, body, is_call, token, leased_until) "
    "VALUES ('old/OrderPlaced', 'events', 'old', 'OrderPlaced', '', false, 1, now() + interval '{seconds} seconds')"
)


async def commit(order: ServiceProcess, *orders: str) -> list[OutboxRow]:
    """Place these orders in one transaction; the messages that the relay would be offered."""
    rows = list[OutboxRow]()

    def committed(changes: Changes) -> None:
        rows.extend(changes.outbox.values())

    order.engine.on_commit.append(committed)
    await order.engine.dispatcher.do_all([Execute(place(one)) for one in orders])
    order.engine.on_commit.remove(committed)
    return rows


async def stored(order: ServiceProcess) -> tuple[int, list[str]]:
    """How many batches there are, and the ids of the messages that have rows of their own."""
    single = await order.rows("SELECT id FROM outbox ORDER BY id")
    return await order.count("outbox_batch"), [row.id.partition("/")[0] for row in single]


def plain(rows: Sequence[OutboxRow]) -> list[Any]:
    return sorted((row.id, row.channel, row.key, row.type, row.body) for row in rows)


async def due(order: ServiceProcess) -> Sequence[OutboxRow]:
    await order.execute("UPDATE outbox_batch SET leased_until = now()")
    await order.execute("UPDATE outbox SET leased_until = now()")
    return await order.store.lease_due(calls=False, limit=500)


async def test_the_messages_of_a_commit_are_one_row_which_goes_when_all_are_published(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        rows = await commit(order, "o1", "o2", "o3")
        assert await stored(order) == (1, [])
        await order.store.delete(rows[::-1])
        assert await stored(order) == (0, [])


async def test_a_batch_whose_lease_ended_becomes_rows_as_they_were_committed(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        rows = await commit(order, "o1", "o2", "o3")
        leased = await due(order)
        assert await stored(order) == (0, ["o1", "o2", "o3"])
        assert plain(leased) == plain(rows)
        await order.store.delete(rows)  # too late: the lease is another's
        assert await stored(order) == (0, ["o1", "o2", "o3"])
        await order.store.delete(leased)
        assert await stored(order) == (0, [])


async def test_what_is_not_published_with_the_rest_of_its_batch_keeps_its_lease(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        rows = await commit(order, "o1", "o2", "o3")
        (before,) = await order.rows("SELECT token, leased_until, created_at FROM outbox_batch")
        await order.store.delete([rows[0], rows[0], rows[2]])
        assert await stored(order) == (0, ["o2"])
        assert await order.rows("SELECT token, leased_until, created_at FROM outbox") == [before]
        await order.store.delete([rows[1]])
        assert await stored(order) == (0, [])


async def test_a_postponed_message_leaves_its_batch_and_the_others_their_lease(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        rows = await commit(order, "o1", "o2", "o3")
        await order.store.postpone([rows[1]], 60)
        counted = await order.rows("SELECT attempts, leased_until > now() + interval '30 s' FROM outbox ORDER BY id")
        assert [tuple(row) for row in counted] == [(0, False), (1, True), (0, False)]
        await order.store.delete([rows[0], rows[2]])
        assert await stored(order) == (0, ["o2"])


async def test_a_message_that_two_batches_hold_becomes_one_row(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await commit(order, "o1", "o2")
        again = await commit(order, "o2", "o3")
        assert plain(await due(order))[1:] == plain(again)
        assert await stored(order) == (0, ["o1", "o2", "o3"])
        renewed = await commit(order, "o1")
        assert plain(await due(order))[0] == plain(renewed)[0]


async def test_a_look_unpacks_no_more_than_it_needs(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        for number in range(4):
            await commit(order, *(f"{number}{letter}" for letter in "abc"))
        await order.execute("UPDATE outbox_batch SET leased_until = created_at")
        leased = await order.store.lease_due(calls=False, limit=5)
        assert len(leased) == 5
        assert await stored(order) == (2, ["0a", "0b", "0c", "1a", "1b", "1c"])


async def test_a_batch_whose_lease_was_set_by_a_clock_that_went_back_comes_due(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        rows = await commit(order, "o1")
        await order.execute("UPDATE outbox_batch SET leased_until = now() + interval '1 hour'")
        assert plain(await order.store.lease_due(calls=False, limit=5)) == plain(rows)


async def test_replicas_that_look_at_once_lease_each_message_once(database: Database) -> None:
    url = database("order")
    async with service_process("order", url, started=False) as one, service_process("order", url, started=False) as two:
        for number in range(10):
            await commit(one, *(f"{number}{letter}" for letter in "abcde"))
        await one.execute("UPDATE outbox_batch SET leased_until = now()")
        looks = [process.store.lease_due(calls=False, limit=50) for process in (one, two, one, two)]
        leased = [row.id for rows in await asyncio.gather(*looks) for row in rows]
        leased += [row.id for row in await one.store.lease_due(calls=False, limit=50)]
        assert len(leased) == len(set(leased)) == 50


async def test_messages_that_the_version_before_batches_stored_are_delivered(database: Database) -> None:
    async with service_process("order", database("order"), started=False, outbox_poll=0.1) as order:
        await order.execute(OLD_ROW.format(seconds=0.3))
        await order.engine.start()
        await commit(order, "o1")
        await order.drained()
        assert {row.key for row in order.mode.published} == {"old", "o1"}


async def test_all_that_waits_is_shown_by_the_view(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        rows = await commit(order, "o1", "o2", "o3")
        shown = "SELECT id, channel, key, type, is_call, token, attempts FROM outbox_waiting ORDER BY id"
        whole = [tuple(row) for row in await order.rows(shown)]
        assert whole == [(row.id, row.channel, row.key, row.type, False, row.token, 0) for row in rows]
        await order.store.delete([replace(rows[0], id="none of them")])
        assert await order.count("outbox_batch") == 0
        assert [tuple(row) for row in await order.rows(shown)] == whole

"""Several processes on one database share the work: one effect each, no deadlock, nothing lost."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack

from checkout.messages import CancelOrder, CommitStock, ConfirmOrder, OrderCancelled, OrderConfirmed, ReleaseStock
from sagakit.message import id_of
from sagakit.ports import OutboxRow
from sagakit.work import Execute, Item
from tests.service_process import names, place, reserve, service_process, settled

Database = Callable[[str], str]


async def test_the_same_commands_at_two_replicas_have_one_effect_each(database: Database) -> None:
    url = database("inventory")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    skus = [f"item-{number:04d}" for number in range(1, 30)]
    holds: list[Item] = [Execute(reserve(f"o{n}", *chance.sample(skus, 5))) for n in range(200)]
    ends: list[Item] = [Execute(CommitStock(f"o{n}") if n % 2 else ReleaseStock(f"o{n}")) for n in range(200)]
    async with (
        service_process("inventory", url, batch_max=40) as one,
        service_process("inventory", url, batch_max=30) as two,
    ):
        for work, expected in ((holds, {"StockReserved"}), (ends, {"StockCommitted", "StockReleased"})):
            shuffled = [chance.sample(work, len(work)) for _ in range(4)]
            answers = await asyncio.gather(
                *(settled(which, items) for which in (one, two) for items in shuffled[::2]),
                *(settled(which, items) for which in (one, two) for items in shuffled[1::2]),
            )
            assert {name for answer in answers for name in names(answer)} == expected
        assert await one.count("journal") == await one.count("inbox") == 400
        stock = await one.rows("SELECT sum(reserved) AS reserved, sum(committed) AS committed FROM stock_items")
        assert (stock[0].reserved, stock[0].committed) == (0, 500)


async def test_two_replicas_race_for_the_pivot_and_one_decision_wins(database: Database) -> None:
    url = database("order")
    async with service_process("order", url) as one, service_process("order", url) as two:
        await one.engine.dispatcher.do_all([Execute(place(f"o{n}")) for n in range(100)])
        confirm = settled(one, [Execute(ConfirmOrder(f"o{n}")) for n in range(100)])
        cancel = settled(two, [Execute(CancelOrder(f"o{n}", "TIMED_OUT")) for n in reversed(range(100))])
        confirmed, cancelled = await asyncio.gather(confirm, cancel)
        assert confirmed == cancelled[::-1]
        assert {type(answer) for answer in confirmed} <= {OrderConfirmed, OrderCancelled}
        assert await one.count("journal") == 200


async def test_sixteen_writers_and_four_relays_lose_nothing(database: Database) -> None:
    url = database("order")
    async with AsyncExitStack() as stack:
        writers = [
            await stack.enter_async_context(service_process("order", url, db_pool=2, started=False)) for _ in range(12)
        ]
        relays = [await stack.enter_async_context(service_process("order", url, db_pool=2)) for _ in range(4)]
        for number, relay in enumerate(relays):
            relay.mode.pause = 0.01 * number

        async def write(number: int) -> None:
            for batch in range(10):
                items: list[Item] = [Execute(place(f"w{number}-{batch}-{n}")) for n in range(10)]
                answers = await settled((writers + relays)[number], items)
                assert set(names(answers)) == {"OrderPlaced"}

        await asyncio.gather(*(write(number) for number in range(16)))
        await relays[0].drained(30)
        published = Counter(row.id for relay in relays for row in relay.mode.published)
        assert len(published) == 1600


async def test_large_batches_in_opposite_order_never_deadlock(database: Database) -> None:
    url = database("inventory")
    skus = [f"item-{number:04d}" for number in range(1, 1001)]
    async with (
        service_process("inventory", url, started=False) as one,
        service_process("inventory", url, started=False) as two,
    ):
        for round_ in range(6):
            holds: list[Item] = [
                Execute(reserve(f"{round_}-{n}", skus[n], skus[-1 - n], skus[(n * 7) % 1000])) for n in range(500)
            ]
            ends: list[Item] = [Execute(ReleaseStock(f"{round_}-{n}")) for n in range(500)]
            for mine, theirs in ((holds, ends[::-1]), (holds[::-1], holds), (ends, ends[::-1])):
                answers = await asyncio.gather(settled(one, mine), settled(two, theirs))
                told = {name for some in answers for name in names(some)}
                assert told <= {"StockReserved", "StockRejected", "StockReleased"}
        assert await one.count("journal") == 6000


async def test_a_relay_and_a_dispatcher_never_deadlock_over_repeats(database: Database) -> None:
    url = database("order")
    async with service_process("order", url, started=False) as one, service_process("order", url, started=False) as two:
        items: list[Item] = [Execute(place(f"o{n}")) for n in range(500)]
        await one.engine.dispatcher.do_all(items)
        for _ in range(15):
            random.shuffle(items)
            held = await two.rows("SELECT id, token FROM outbox_waiting ORDER BY md5(id || random()::text)")
            rows = [OutboxRow(row.id, "", "", "", b"", row.token) for row in held]
            answers, *_ = await asyncio.gather(
                one.engine.dispatcher.do_all(items),
                two.store.postpone(rows, 1),
                two.store.postpone(rows[::-1], 1),
                two.store.delete(rows[:250]),
            )
            assert set(names(answers)) == {"OrderPlaced"}
        assert await one.count("journal") == 500


async def test_a_waiter_is_notified_of_what_another_replica_records(database: Database) -> None:
    url = database("order")
    async with service_process("order", url) as one, service_process("order", url) as two:
        await one.engine.dispatcher.do(place("o1"))
        ids = [id_of("o1", OrderConfirmed), id_of("o1", OrderCancelled)]
        waiting = [asyncio.create_task(two.engine.watcher.wait(ids, 5)) for _ in range(3)]
        await asyncio.sleep(0.3)
        await one.engine.dispatcher.do(ConfirmOrder("o1"))
        assert await asyncio.gather(*waiting) == [OrderConfirmed("o1")] * 3
        assert await two.engine.watcher.wait(ids, 5) == OrderConfirmed("o1")
        assert await two.engine.watcher.wait([id_of("o2", OrderConfirmed)], 0.3) is None

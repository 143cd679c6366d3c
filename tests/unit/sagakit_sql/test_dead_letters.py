"""What was given up, written down: the table and its twin in memory, and how the engine uses them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sagakit.dead_letters import DeadLetters, MemoryDeadLetters, letter_id
from sagakit.ports import StoreUnavailable
from sagakit.postgres.dead_letters import SqlDeadLetters
from tests.postgres import Server
from tests.service_process import service_process

Database = Callable[[str], str]


@pytest.fixture(params=["memory", "postgres"])
async def letters(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[DeadLetters]:
    if request.param == "memory":
        yield MemoryDeadLetters()
    else:
        async with service_process("order", database("order"), started=False) as order:
            yield SqlDeadLetters(order.database)


async def test_a_letter_is_found_by_the_digest_of_its_bytes(letters: DeadLetters) -> None:
    await letters.add(b"\x00\xff{}", "cannot be read", "o1")
    found = await letters.find(letter_id(b"\x00\xff{}"))
    assert found is not None
    assert (found.body, found.cause, found.subject) == (b"\x00\xff{}", "cannot be read", "o1")
    assert await letters.find("nothing") is None


async def test_an_open_letter_that_comes_again_stays_one_and_says_why_last(letters: DeadLetters) -> None:
    await letters.add(b"x", "first", "o1")
    first = await letters.find(letter_id(b"x"))
    await letters.add(b"x", "second")
    again = await letters.find(letter_id(b"x"))
    assert first is not None
    assert again is not None
    assert (again.id, again.at, again.subject) == (first.id, first.at, "o1")
    assert again.cause == "second"


async def test_a_resolved_letter_is_not_open_and_is_open_again_when_it_comes_again(letters: DeadLetters) -> None:
    await letters.add(b"x", "first")
    first = await letters.find(letter_id(b"x"))
    for _ in range(2):
        await letters.resolve(letter_id(b"x"), "redriven", "root")
        assert await letters.find(letter_id(b"x")) is None
    await letters.add(b"x", "second")
    again = await letters.find(letter_id(b"x"))
    assert first is not None
    assert again is not None
    assert again.cause == "second"
    assert again.at > first.at


async def test_a_cause_or_a_subject_is_recorded_whatever_it_holds(letters: DeadLetters) -> None:
    await letters.add(b"x", "unknown type 'a\x00\ud800'", "o\x00\ud800")
    found = await letters.find(letter_id(b"x"))
    assert found is not None
    assert found.cause.startswith("unknown type 'a")
    assert found.subject is not None


async def test_the_table_says_who_resolved_what_and_how(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        await order.engine.dead_letter(b"x", "cannot be read", "o1")
        await order.dead_letters.resolve(letter_id(b"x"), "redriven", "root")
        (row,) = await order.rows("SELECT subject, resolution, resolved_by, resolved_at FROM dead_letter")
        assert (row.subject, row.resolution, row.resolved_by) == ("o1", "redriven", "root")
        assert row.resolved_at is not None
        await order.engine.dead_letter(b"x", "again")
        (row,) = await order.rows("SELECT subject, resolution, resolved_by, resolved_at FROM dead_letter")
        assert tuple(row) == ("o1", None, None, None)


async def test_a_dead_letter_is_retried_while_the_database_is_down(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), retry_max=0.2) as order:
        await asyncio.to_thread(postgres.kill)
        recording = asyncio.create_task(order.engine.dead_letter(b"x", "cannot be read"))
        done, _ = await asyncio.wait({recording}, timeout=1)
        assert not done
        await asyncio.to_thread(postgres.start)
        await asyncio.wait_for(recording, 10)
        assert await order.dead_letters.find(letter_id(b"x")) is not None
        assert order.metrics.registry.get_sample_value("saga_dead_letters_total", {"source": "order"}) == 1


async def test_a_dead_letter_that_a_stop_interrupts_is_not_recorded(postgres: Server, database: Database) -> None:
    async with service_process("order", database("order"), retry_max=0.2) as order:
        await asyncio.to_thread(postgres.kill)
        recording = asyncio.create_task(order.engine.dead_letter(b"x", "cannot be read"))
        await asyncio.wait({recording}, timeout=0.3)
        await order.engine.stop()
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(recording, 10)


async def _buried(order: Any, body: bytes) -> str:
    await order.engine.dead_letter(body, "cannot be read")
    return letter_id(body)


async def test_a_redrive_reports_its_outcome(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        good, bad = await _buried(order, b"good"), await _buried(order, b"bad")
        redrive = order.engine.redrive
        told = await redrive(good, "root")
        assert told is not None
        assert (told.done, told.detail) == (False, "not connected to the broker yet")

        async def redeliver(body: bytes) -> str | None:
            return None if body == b"good" else "still a bug"

        order.engine.redeliver = redeliver
        failed, went, nothing = [await redrive(one, "root") for one in (bad, good, "nothing")]
        assert failed is not None
        assert (failed.done, failed.detail) == (False, "still a bug")
        assert went is not None
        assert went.done
        assert nothing is None
        assert await order.dead_letters.find(bad) is not None
        assert await order.dead_letters.find(good) is None


async def test_a_redrive_without_an_answer_ends_and_reports_that(database: Database) -> None:
    async with service_process("order", database("order"), started=False) as order:
        letter = await _buried(order, b"slow")

        async def redeliver(body: bytes) -> str | None:
            await asyncio.Event().wait()
            return None

        order.engine.redeliver = redeliver
        told = await order.engine.redrive(letter, "root", seconds=0.1)
        assert told is not None
        assert not told.done
        assert "no answer within" in told.detail
        assert await order.dead_letters.find(letter) is not None

"""Deletes: ten to a call, across batches; nothing waits for ever, and nothing is lost at the end."""

import asyncio
from collections.abc import Sequence

import pytest

from sagakit.modes.sns_sqs import deletes
from sagakit.modes.sns_sqs.client import Receipt
from sagakit.modes.sns_sqs.deletes import CALLS, Deletes


class Calls:
    """Notes what is deleted; with `held`, no call ends before it is set."""

    def __init__(self, held: asyncio.Event | None = None, error: Exception | None = None) -> None:
        self.made: list[int] = []
        self.deleted: list[Receipt] = []
        self._held, self._error = held, error

    async def __call__(self, receipts: Sequence[Receipt]) -> None:
        self.made.append(len(receipts))
        self.deleted += receipts
        if self._held is not None:
            await self._held.wait()
        if self._error is not None:
            raise self._error


def receipts(count: int, first: int = 0) -> list[Receipt]:
    return [Receipt("queue", str(number)) for number in range(first, first + count)]


async def test_a_call_fills_up_across_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletes, "LINGER", 3600.0)
    calls = Calls()
    deleting = Deletes(calls)
    await deleting.add(receipts(6))
    await deleting.add(receipts(7, 6))
    await asyncio.sleep(0)
    assert calls.made == [10]
    await deleting.close()
    assert calls.made == [10, 3]
    assert calls.deleted == receipts(13)


async def test_what_fills_no_call_is_deleted_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletes, "LINGER", 0.001)
    called = asyncio.Event()

    async def delete(some: Sequence[Receipt]) -> None:
        assert list(some) == receipts(1)
        called.set()

    await Deletes(delete).add(receipts(1))
    async with asyncio.timeout(10):
        await called.wait()


async def test_whoever_settles_waits_while_many_calls_are_under_way() -> None:
    held = asyncio.Event()
    calls = Calls(held)
    deleting = Deletes(calls)
    await deleting.add(receipts(10 * (CALLS - 1)))
    settling = asyncio.ensure_future(deleting.add(receipts(10)))
    assert not (await asyncio.wait({settling}, timeout=0.05))[0]
    held.set()
    await settling
    await deleting.close()
    assert len(calls.deleted) == 10 * CALLS


async def test_a_bug_in_a_delete_reaches_whoever_settles_next() -> None:
    deleting = Deletes(Calls(error=KeyError("a bug of ours")))
    await deleting.add(receipts(10))
    await asyncio.sleep(0)
    with pytest.raises(KeyError, match="a bug of ours"):
        await deleting.add([])
    await deleting.add([])  # each error is raised once

"""One reader per subject, however many follow it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from sagakit.web.app import Problem
from sagakit.web.feeds import Feeds, StreamLimit


@dataclass(frozen=True)
class Entry:
    seq: int


class Journal:
    """Entries of one subject, and a stand-in for the watcher; counts the reads."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.settled, self.reads = False, 0
        self.error: Exception | None = None
        self.changed = asyncio.Event()
        self.listening: list[str] = []

    async def read(self, subject: str, seq: int) -> tuple[Sequence[Entry], bool]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return [one for one in self.entries if one.seq > seq], self.settled

    def add(self, *, settled: bool = False) -> None:
        self.entries.append(Entry(len(self.entries) + 1))
        self.settled = settled
        self.changed.set()

    def subscribe(self, subject: str) -> asyncio.Event:
        self.listening.append(subject)
        return self.changed

    def unsubscribe(self, subject: str, changed: asyncio.Event) -> None:
        self.listening.remove(subject)

    async def wait_changed(self, changed: asyncio.Event, seconds: float) -> None:
        await changed.wait()


async def collect(feeds: Feeds[Entry], after: int, into: list[int]) -> None:
    async for entry in feeds.follow("o1", after):
        into.append(entry.seq)


async def until(events: list[list[int]], count: int) -> None:
    async with asyncio.timeout(5):
        while sum(map(len, events)) < count:  # noqa: ASYNC110  (lists tell nobody)
            await asyncio.sleep(0.001)


async def test_a_thousand_followers_cost_one_read_per_commit_and_leave_time_to_others() -> None:
    journal = Journal()
    feeds = Feeds(journal.read, journal, 60)
    journal.add()
    got: list[list[int]] = [[] for _ in range(1000)]
    tasks = [asyncio.create_task(collect(feeds, 0, one)) for one in got]
    await until(got, 1000)
    assert journal.reads <= 2
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    before, beside = journal.reads, asyncio.create_task(other())
    journal.add(settled=True)
    await asyncio.gather(*tasks)
    beside.cancel()
    assert got == [[1, 2]] * 1000
    assert journal.reads == before + 1
    assert turns >= 1000 / 25
    assert journal.listening == []


async def test_each_follower_gets_what_comes_after_its_own_place() -> None:
    journal = Journal()
    feeds = Feeds(journal.read, journal, 60)
    for _ in range(3):
        journal.add()
    early: list[list[int]] = [[]]
    first = asyncio.create_task(collect(feeds, 0, early[0]))
    await until(early, 3)
    late: list[int] = []
    second = asyncio.create_task(collect(feeds, 2, late))
    journal.add(settled=True)
    await asyncio.gather(first, second)
    assert (early[0], late) == ([1, 2, 3, 4], [3, 4])


async def test_the_reader_ends_with_its_last_follower() -> None:
    journal = Journal()
    feeds = Feeds(journal.read, journal, 60)
    journal.add()
    followers = [feeds.follow("o1", 0) for _ in range(2)]
    assert [(await anext(one)).seq for one in followers] == [1, 1]
    await followers[0].aclose()
    assert journal.listening == ["o1"]
    await followers[1].aclose()
    await asyncio.sleep(0.01)
    assert journal.listening == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_the_reader_raises_all_followers_raise_and_the_next_one_reads_again() -> None:
    journal = Journal()
    feeds = Feeds(journal.read, journal, 60)
    journal.error = RuntimeError("away")
    got: list[list[int]] = [[], []]
    ended = await asyncio.gather(*(collect(feeds, 0, one) for one in got), return_exceptions=True)
    assert [str(one) for one in ended] == ["away", "away"]
    journal.error = None
    journal.add(settled=True)
    await collect(feeds, 0, got[0])
    assert got == [[1], []]


async def test_the_stream_limit_counts_each_customer_alone() -> None:
    limit = StreamLimit(2)
    leave = limit.admit("alice")
    limit.admit("alice")
    limit.admit("bob")
    with pytest.raises(Problem) as refused:
        limit.admit("alice")
    assert (refused.value.status, refused.value.code) == (429, "too_many_streams")
    assert int(refused.value.headers["Retry-After"]) >= 1
    leave()
    limit.admit("alice")

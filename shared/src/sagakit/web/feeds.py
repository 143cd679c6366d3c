"""Entries of a subject as they come, for any number of followers at the price of one, and how many one may have.

Guarantee: a subject that is followed is read by one reader, once per commit of this process about it and once per
poll; followers are woken a few at a time, so that a thousand of them do not hold up everybody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from sagakit.web.problems import Problem

_AT_A_TIME: Final = 20
_RETRY_AFTER: Final = 5


class Sequenced(Protocol):
    """An entry with its place in the order of all."""

    @property
    def seq(self) -> int:
        """Grows from entry to entry."""


class CommitSignals(Protocol):
    """Who tells of commits: sagakit.engine.watcher.Watcher."""

    def subscribe(self, subject: str) -> asyncio.Event:
        """An event that is set at each commit about the subject."""

    async def wait_changed(self, changed: asyncio.Event, seconds: float) -> None:
        """Until the event is set, at most so long."""

    def unsubscribe(self, subject: str, changed: asyncio.Event) -> None:
        """Give the event back."""


E = TypeVar("E", bound=Sequenced)
Read = Callable[[str, int], Awaitable[tuple[Sequence[E], bool]]]
"""The entries of a subject after a place, and whether they are the last ones."""


class _Feed(Generic[E]):
    def __init__(self) -> None:
        self.entries: list[E] = []
        self.settled = False
        self.error: Exception | None = None
        self.followers: dict[asyncio.Event, None] = {}
        self.task: asyncio.Task[None] | None = None


class Feeds(Generic[E]):
    """One reader per followed subject; `poll` in seconds, for what other processes commit."""

    def __init__(self, read: Read[E], watcher: CommitSignals, poll: float) -> None:
        self._read, self._watcher, self._poll = read, watcher, poll
        self._feeds: dict[str, _Feed[E]] = {}

    async def follow(self, subject: str, after: int) -> AsyncGenerator[E, None]:
        """Each entry after that place, until the last one; raises what the reader raises."""
        feed, news = self._feed(subject), asyncio.Event()
        feed.followers[news] = None
        seen = 0
        try:
            while True:
                while seen < len(feed.entries):
                    entry = feed.entries[seen]
                    seen += 1
                    if entry.seq > after:
                        yield entry
                if feed.error is not None:
                    raise feed.error
                if feed.settled:
                    return
                news.clear()
                await news.wait()
        finally:
            del feed.followers[news]
            if not feed.followers:
                self._end(subject, feed)

    def _feed(self, subject: str) -> _Feed[E]:
        feed = self._feeds.get(subject)
        if feed is None or feed.error is not None:
            feed = self._feeds[subject] = _Feed()
            feed.task = asyncio.create_task(self._run(subject, feed), name=f"feed {subject}")
        return feed

    def _end(self, subject: str, feed: _Feed[E]) -> None:
        if self._feeds.get(subject) is feed:
            del self._feeds[subject]
        if feed.task is not None:
            feed.task.cancel()

    async def _run(self, subject: str, feed: _Feed[E]) -> None:
        changed, place = self._watcher.subscribe(subject), 0
        try:
            while not feed.settled:
                changed.clear()
                entries, settled = await self._read(subject, place)
                if entries:
                    place = entries[-1].seq
                feed.entries.extend(entries)
                feed.settled = settled
                if entries or settled:
                    await _wake(feed.followers)
                if not settled:
                    await self._watcher.wait_changed(changed, self._poll)
        except Exception as error:
            feed.error = error
            await _wake(feed.followers)
        finally:
            self._watcher.unsubscribe(subject, changed)


async def _wake(followers: dict[asyncio.Event, None]) -> None:
    for count, news in enumerate(tuple(followers), 1):
        news.set()
        if count % _AT_A_TIME == 0:
            await asyncio.sleep(0)


class StreamLimit:
    """How many streams one caller may have open in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def admit(self, caller: str) -> Callable[[], None]:
        """Count one more stream, until what is returned is called; `Problem` 429 if there are too many."""
        if self._open[caller] >= self._most:
            detail = f"You have {self._most} event streams open, which is the most. Close one, or follow fewer orders."
            raise Problem(429, "too_many_streams", detail, headers={"Retry-After": str(_RETRY_AFTER)})
        self._open[caller] += 1

        def release() -> None:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

        return release

"""Feeds: the entries of a subject as they are recorded, shared by all its followers; and a limit of streams per caller.

Guarantee: one reader per followed subject queries the store, once per commit of this process about it and once per
poll, however many followers there are. Followers are woken in small groups, so that a thousand of them do not block
the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from sagakit.web.problems import Problem

_WAKE_AT_ONCE: Final = 20
_RETRY_AFTER: Final = 5


class Sequenced(Protocol):
    """An entry with a sequence number."""

    @property
    def seq(self) -> int:
        """The sequence number; it increases from entry to entry."""


class CommitSignals(Protocol):
    """Signals commits; implemented by `sagakit.engine.watcher.Watcher`."""

    def subscribe(self, subject: str) -> asyncio.Event:
        """Return an event that is set at each commit about the subject."""

    async def wait_changed(self, changed: asyncio.Event, seconds: float) -> None:
        """Wait until the event is set, or `seconds` have passed."""

    def unsubscribe(self, subject: str, changed: asyncio.Event) -> None:
        """Stop setting the event that `subscribe` returned."""


E = TypeVar("E", bound=Sequenced)
Read = Callable[[str, int], Awaitable[tuple[Sequence[E], bool]]]
"""Reads the entries of a subject after a sequence number, and whether these are the last ones."""


class _Feed(Generic[E]):
    def __init__(self) -> None:
        self.entries: list[E] = []
        self.settled = False
        self.error: Exception | None = None
        self.followers: dict[asyncio.Event, None] = {}
        self.task: asyncio.Task[None] | None = None


class Feeds(Generic[E]):
    """One reader per followed subject; it polls every `poll` seconds for commits of other processes."""

    def __init__(self, read: Read[E], watcher: CommitSignals, poll: float) -> None:
        self._read, self._watcher, self._poll = read, watcher, poll
        self._feeds: dict[str, _Feed[E]] = {}

    async def follow(self, subject: str, after: int) -> AsyncGenerator[E, None]:
        """Yield each entry after that sequence number, until the last one; raise what the reader raises."""
        feed, news = self._feed(subject), asyncio.Event()
        feed.followers[news] = None
        position = 0
        try:
            while True:
                while position < len(feed.entries):
                    entry = feed.entries[position]
                    position += 1
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
        changed, last_seq = self._watcher.subscribe(subject), 0
        try:
            while not feed.settled:
                changed.clear()
                entries, settled = await self._read(subject, last_seq)
                if entries:
                    last_seq = entries[-1].seq
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
        if count % _WAKE_AT_ONCE == 0:
            await asyncio.sleep(0)


class TooManyStreams(Problem):
    """429: the caller has `limit` streams open."""

    def __init__(self, limit: int) -> None:
        detail = f"You have {limit} event streams open, which is the most. Close one, or follow fewer orders."
        super().__init__(429, "too_many_streams", detail, headers={"Retry-After": str(_RETRY_AFTER)})


class StreamLimit:
    """Limits the streams that one caller may have open in this process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    def admit(self, caller: str) -> Callable[[], None]:
        """Count one more stream of the caller; call the returned function when it has ended.

        Raises:
            TooManyStreams: The caller has as many open as the limit allows.
        """
        if self._open[caller] >= self._limit:
            raise TooManyStreams(self._limit)
        self._open[caller] += 1

        def release() -> None:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

        return release

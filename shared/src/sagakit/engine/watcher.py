"""Waiting for an event to be recorded by any process: this one's commits tell of it, and a poll finds the others."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence

from sagakit.message import Event, message_id
from sagakit.ports import Changes, RowsLocked, Store, StoreUnavailable
from sagakit.tasks import set_within

log = logging.getLogger(__name__)


class Watcher:
    """`wait` for the first of some events; `subscribe` to all commits of this process about a subject."""

    def __init__(self, store: Store, poll: float = 0.2) -> None:
        """`poll`: seconds between two queries for what other processes record."""
        self._store, self._poll = store, poll
        self._waiting: dict[str, set[asyncio.Future[Event]]] = defaultdict(set)
        self._unchecked: set[str] = set()
        self._new = asyncio.Event()
        self._changed: dict[str, set[asyncio.Event]] = defaultdict(set)

    def committed(self, changes: Changes) -> None:
        """Tell the waiters; to be called after every commit of this process."""
        for entry in changes.journal:
            if self._waiting:
                self._resolve(message_id(entry.event), entry.event)
            for changed in self._changed.get(entry.event.subject, ()):
                changed.set()

    async def wait(self, event_ids: Sequence[str], seconds: float) -> Event | None:
        """The first of the events to be recorded, by whichever process, or None after `seconds`."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        for key in event_ids:
            self._waiting[key].add(future)
        self._unchecked.update(event_ids)
        self._new.set()
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            for key in event_ids:
                self._waiting[key].discard(future)
                if not self._waiting[key]:
                    del self._waiting[key]

    def subscribe(self, subject: str) -> asyncio.Event:
        """An event that is set at each commit of this process about `subject`, until `unsubscribe`."""
        changed = asyncio.Event()
        self._changed[subject].add(changed)
        return changed

    async def wait_changed(self, changed: asyncio.Event, seconds: float) -> None:
        """Wait until `changed` is set, for `seconds` at most: another process may have changed the subject."""
        await set_within(changed, seconds)

    def unsubscribe(self, subject: str, changed: asyncio.Event) -> None:
        """Give back what `subscribe` returned."""
        self._changed[subject].discard(changed)
        if not self._changed[subject]:
            del self._changed[subject]

    def subscribed(self, subject: str) -> bool:
        """Whether anybody has subscribed to the subject."""
        return subject in self._changed

    async def run(self) -> None:
        """Look for events recorded before the wait, and by other processes, until cancelled: one query for all."""
        clock = asyncio.get_running_loop().time
        polled = clock()
        while True:
            await set_within(self._new, max(0.0, polled + self._poll - clock()))
            self._new.clear()
            if clock() >= polled + self._poll:  # even if new waiters come all the time
                polled = clock()
                self._unchecked.update(self._waiting)
            ids = sorted(self._unchecked & self._waiting.keys())
            self._unchecked.clear()
            if ids:
                try:
                    recorded = await self._store.recorded(ids)
                except (StoreUnavailable, RowsLocked) as error:
                    log.warning("the watcher waits for its store: %s", error)
                    continue
                for key, event in recorded.items():
                    self._resolve(key, event)

    def _resolve(self, key: str, event: Event) -> None:
        for future in tuple(self._waiting.get(key, ())):
            if not future.done():
                future.set_result(event)

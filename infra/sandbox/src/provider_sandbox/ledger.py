"""The ledger's database: one thread owns it, and commits in one batch all work that arrived during the last commit.

Guarantee: `run` returns after the commit of its work is on disk, so a killed process loses nothing that was answered.
Work runs one piece at a time, so each sees all that came before it. No error of the database ends the thread.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from provider_sandbox.records import SCHEMA
from sagakit.web.app import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Item = tuple[Work, asyncio.Future[Any]]
Result = tuple[asyncio.Future[Any], Any]
_BATCH: Final = 500


class Ledger:
    """Runs work on the sandbox's database. Open it in the event loop that uses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Open the database, and create it if there is none. Raises `sqlite3.Error` or `OSError` if that fails."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(target=self._own, args=(loop, opened), name="ledger", daemon=True)
        self._thread.start()
        await opened

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` and return, or raise, its result after the commit. What it wrote before it raised is kept.

        If the database fails, or is closed, this raises the problem 503, and nothing of the batch has happened.
        """
        self._check_open()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put((work, future))
        return await future

    def _check_open(self) -> None:
        if self._thread is None:
            raise Unavailable("The ledger is closed.")

    async def close(self) -> None:
        """Finish the work under way, then close the database."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    def _own(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        try:
            db: sqlite3.Connection | None = self._connect()
        except (sqlite3.Error, OSError) as error:
            _resolve(loop, [(opened, error)])
            return
        _resolve(loop, [(opened, None)])
        last = False
        while not last and (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < _BATCH and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    last = True
                    break
                batch.append(item)
            try:
                db = db or self._connect()
                results = _commit(db, batch)
            except Exception as error:  # it could not even roll back: close it, open it for the next batch
                log.error("the ledger failed and is opened again: %r", error)
                results = _refuse(batch, error)
                _close(db)
                db = None
            _resolve(loop, results)
        _close(db)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(SCHEMA)
        except BaseException:
            _close(db)
            raise
        return db


def _commit(db: sqlite3.Connection, batch: Sequence[Item]) -> list[Result]:
    # raises only if the rollback fails as well, which leaves the database in an unknown state
    results: list[Result] = []
    try:
        db.execute("BEGIN IMMEDIATE")
        for work, future in batch:
            try:
                results.append((future, work(db)))
            except sqlite3.Error:
                raise
            except Exception as error:
                results.append((future, error))
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        return _refuse(batch, error)
    return results


def _refuse(batch: Sequence[Item], error: Exception) -> list[Result]:
    problem = Unavailable("The ledger cannot be written.")
    problem.__cause__ = error
    return [(future, problem) for _, future in batch]


def _close(db: sqlite3.Connection | None) -> None:
    # without a commit, so that an open transaction is rolled back
    if db is not None:
        with contextlib.suppress(sqlite3.Error):
            db.close()


def _resolve(loop: asyncio.AbstractEventLoop, results: Sequence[Result]) -> None:
    def resolve() -> None:
        for future, result in results:
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(resolve)

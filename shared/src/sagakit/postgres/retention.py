"""Retention: what was recorded about a subject that has ended is deleted after a while, and its final row is kept.

Guarantee: a subject is pruned as a whole or not at all. Its row is locked meanwhile, so no command is decided between
the look at its state and the deletion, and a command that comes later meets a row that says that it is pruned.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sagakit.ports import RowsLocked, StoreUnavailable
from sagakit.postgres.connection import connected
from sagakit.postgres.entities import EntityRows

log = logging.getLogger(__name__)

BATCH: Final = 100  # rows looked at in one transaction
IDLE: Final = 5.0  # longest pause between two rounds over the rows, in seconds
SHARE: Final = 0.2  # of the time, in which a batch may be under way


def _own(subject: str) -> str:
    return f"id >= {subject} || '/' AND id < {subject} || '0'"  # "0" is the character after "/"


def _deletion(table: str) -> str:
    own = f"(SELECT id FROM {table} WHERE {_own('due.id')} OFFSET 0) AS own"  # names of tables only
    return f"DELETE FROM {table} WHERE id = ANY(ARRAY(SELECT own.id FROM due CROSS JOIN LATERAL {own}))"


@dataclass(frozen=True, slots=True)
class FinalRows:
    """Which rows of a service's own table are final: those whose states have `ended`.

    `dropped` are the columns that a final row does without.
    """

    entities: EntityRows
    ended: Callable[[Any], bool]
    dropped: tuple[str, ...] = ()


@dataclass(slots=True)
class Pruner:
    """Prunes what has ended and was not touched for `seconds`, in small transactions, one after the other.

    `progress`: the time and the id of the row that was looked at last; None before a round.
    """

    database: AsyncEngine
    rows: FinalRows
    seconds: float
    progress: tuple[datetime, str] | None = field(default=None, init=False)

    async def run(self) -> None:
        """Prune until cancelled, at most a fifth of the time; retry while the store is unavailable."""
        while True:
            began = time.monotonic()
            try:
                await self.prune()
                goes_on = self.progress is not None
            except (StoreUnavailable, RowsLocked) as error:
                log.info("pruning is postponed: %s", error)
                goes_on = False  # a store that is away fails at once: it is not asked again at that pace
            taken = time.monotonic() - began
            await asyncio.sleep(taken * (1 - SHARE) / SHARE if goes_on else min(IDLE, self.seconds))

    async def prune(self) -> int:
        """Look at the next rows, and prune those that are due; how many were pruned.

        Raises:
            StoreUnavailable: The store did not answer: nothing is pruned, or the outcome is unknown.
            RowsLocked: It did not answer in time.
        """
        table, key = self.rows.entities.table, self.rows.entities.key
        after = "" if self.progress is None else f"AND (created_at, {key}) > (:created_at, :last)"
        look = (
            f"SELECT * FROM {table} WHERE NOT pruned AND created_at < now() - make_interval(secs => :seconds) "
            f"{after} ORDER BY created_at, {key} LIMIT {BATCH} FOR UPDATE SKIP LOCKED"
        )
        values: dict[str, Any] = {"seconds": self.seconds}
        if self.progress is not None:
            values |= {"created_at": self.progress[0], "last": self.progress[1]}
        async with connected(self.database) as connection, connection.begin():
            # A crash that forgets a pruning leaves it to be done again, so it waits for no disk
            await connection.execute(text("SET LOCAL synchronous_commit TO off"))
            found = (await connection.execute(text(look), values)).all()
            ended = [getattr(row, key) for row in found if self.rows.ended(self.rows.entities.read(row))]
            pruned = await self._forget(connection, ended) if ended else 0
        self.progress = (found[-1].created_at, getattr(found[-1], key)) if len(found) == BATCH else None
        return pruned

    async def _forget(self, connection: AsyncConnection, ids: list[str]) -> int:
        """Delete what is recorded about these, unless something is recent, or a call to a provider is still open."""
        table, key = self.rows.entities.table, self.rows.entities.key
        dropped = "".join(f", {name} = NULL" for name in self.rows.dropped)
        statement = (
            "WITH due AS MATERIALIZED (SELECT id FROM unnest(CAST(:ids AS text[])) AS asked(id) "
            f"WHERE NOT EXISTS (SELECT FROM journal WHERE {_own('asked.id')} "
            "AND recorded_at > now() - make_interval(secs => :seconds)) "
            f"AND NOT EXISTS (SELECT FROM outbox WHERE is_call AND {_own('asked.id')})), "
            f"events AS ({_deletion('journal')}), claims AS ({_deletion('inbox')}) "
            f"UPDATE {table} SET pruned = true{dropped} FROM due WHERE {table}.{key} = due.id"
        )
        result: Any = await connection.execute(text(statement), {"ids": ids, "seconds": self.seconds})
        return int(result.rowcount)

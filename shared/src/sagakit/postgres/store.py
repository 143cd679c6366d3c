"""The store on PostgreSQL, through SQLAlchemy Core and asyncpg.

Guarantee: a batch costs a fixed number of statements, however many messages it holds.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.message import Command, Event, Vocabulary, message_id
from sagakit.ports import CALLS, Changes, Claim, LedgerEntry, OutboxRow
from sagakit.postgres.rows import Cte, Rows, save
from sagakit.postgres.session import Session, session
from sagakit.service import WorkingSet

# Claims messages in the inbox; returns the ids of those that were not claimed before.
CLAIM_MESSAGES = (
    "INSERT INTO inbox (id, cause) SELECT * FROM unnest(CAST(:claims AS text[]), CAST(:causes AS text[])) "
    "ON CONFLICT DO NOTHING RETURNING id"
)
# Takes claims of pruned subjects back.
UNCLAIM_MESSAGES = "DELETE FROM inbox WHERE id = ANY(CAST(:unclaimed AS text[]))"
# Reads those of the given events that are recorded.
READ_EVENTS = "SELECT id, name, data FROM journal WHERE id = ANY(CAST(:ids AS text[]))"
# Records events; one that is recorded already stays as it is.
RECORD_EVENTS = (
    "INSERT INTO journal (id, subject, name, command, data, traceparent) SELECT * FROM unnest("
    "CAST(:event_ids AS text[]), CAST(:subjects AS text[]), CAST(:names AS text[]), CAST(:commands AS text[]), "
    "CAST(:data AS text[]), CAST(:traces AS text[])) ON CONFLICT DO NOTHING"
)
# Adds outbox rows, leased to this process; a row with the same id is replaced.
ADD_TO_OUTBOX = (
    "INSERT INTO outbox (id, channel, key, type, body, is_call, token, leased_until) "
    "SELECT u.*, :token, now() + make_interval(secs => :lease) FROM unnest("
    "CAST(:row_ids AS text[]), CAST(:channels AS text[]), CAST(:keys AS text[]), CAST(:types AS text[]), "
    "CAST(:bodies AS bytea[]), CAST(:calls AS boolean[])) AS u "
    "ON CONFLICT (id) DO UPDATE SET channel = excluded.channel, body = excluded.body, token = excluded.token, "
    "leased_until = excluded.leased_until"
)
# Adds the entries of an in-process provider to its ledger.
ADD_TO_LEDGER = (
    "INSERT INTO ledger (key, order_id, provider, operation, outcome, amount, currency) SELECT * FROM unnest("
    "CAST(:call_keys AS text[]), CAST(:orders AS text[]), CAST(:providers AS text[]), CAST(:operations AS text[]), "
    "CAST(:outcomes AS text[]), CAST(:amounts AS bigint[]), CAST(:currencies AS text[]))"
)
# Leases rows that are due, or whose lease ends later than any lease can: then the clock was set back. It reads two
# index ranges and waits for no lock.
LEASE_DUE = (
    "WITH due AS MATERIALIZED (SELECT id FROM outbox WHERE is_call = :calls AND leased_until < now() "
    "ORDER BY leased_until LIMIT :limit FOR UPDATE SKIP LOCKED), "
    "stray AS MATERIALIZED (SELECT id FROM outbox WHERE is_call = :calls "
    "AND leased_until > now() + make_interval(secs => :longest) "
    "ORDER BY leased_until LIMIT :limit FOR UPDATE SKIP LOCKED) "
    "UPDATE outbox SET token = :token, leased_until = now() + make_interval(secs => :lease) "
    "FROM (SELECT id FROM due UNION ALL SELECT id FROM stray LIMIT :limit) AS taken WHERE outbox.id = taken.id "
    "RETURNING outbox.id, channel, key, type, body, attempts"
)
# The rows whose lease tokens are still the given ones. A row that is locked is being leased by another process, so it
# is skipped: there is no need to wait for it, and no deadlock.
_STILL_LEASED = (
    "SELECT outbox.id FROM outbox JOIN unnest(CAST(:ids AS text[]), CAST(:tokens AS bigint[])) AS u(id, token) "
    "ON outbox.id = u.id AND outbox.token = u.token FOR UPDATE OF outbox SKIP LOCKED"
)
# Deletes rows that are still leased to the caller. It does not wait for the disk, nor for a standby: a row that comes
# back after a crash is published once more.
DELETE_LEASED = (
    "DELETE FROM outbox WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL "
    f"AND id = ANY(ARRAY({_STILL_LEASED}))"
)
# Makes rows that are still leased to the caller due again after some seconds, and counts an attempt.
POSTPONE_LEASED = (
    "UPDATE outbox SET attempts = attempts + 1, leased_until = now() + make_interval(secs => :seconds) "
    f"WHERE id = ANY(ARRAY({_STILL_LEASED}))"
)


class SqlTransaction:
    """`ports.Transaction` on one connection."""

    def __init__(self, session: Session, vocabulary: Vocabulary, rows: Rows, lease: float) -> None:
        self._session, self._vocabulary, self._rows, self._lease = session, vocabulary, rows, lease

    async def claim_and_load(
        self, claims: Sequence[Claim], commands: Sequence[Command], nudged: Sequence[str]
    ) -> tuple[set[str], WorkingSet]:
        """Claim the messages, and lock and load the rows.

        Returns the ids that were not claimed before, and the working set. `Rows.load` raises RowsLocked.
        """
        claim = None
        if claims:
            values = {"claims": [claim.id for claim in claims], "causes": [claim.cause for claim in claims]}
            claim = Cte("claimed", CLAIM_MESSAGES, values)
        return await self._rows.load(self._session, commands, nudged, claim)

    async def recorded(self, event_ids: Iterable[str]) -> dict[str, Event]:
        """Those of the events that are recorded, by id."""
        return await read_journal(self._session, self._vocabulary, list(event_ids))

    async def save(self, working: WorkingSet, changes: Changes) -> None:
        """Write the changed states, the journal, the outbox and the ledger in one statement; see `rows.save`."""
        parts = list(self._rows.changes(working))
        journal, outbox = changes.journal, sorted(changes.outbox.values(), key=attrgetter("id"))
        if journal:
            parts.append(
                Cte(
                    "journaled",
                    RECORD_EVENTS,
                    {
                        "event_ids": [message_id(entry.event) for entry in journal],
                        "subjects": [entry.event.subject for entry in journal],
                        "names": [type(entry.event).__name__ for entry in journal],
                        "commands": [entry.command for entry in journal],
                        "data": [self._vocabulary.encode(entry.event).decode() for entry in journal],
                        "traces": [entry.traceparent for entry in journal],
                    },
                )
            )
        if outbox:
            parts.append(
                Cte(
                    "posted",
                    ADD_TO_OUTBOX,
                    {
                        "row_ids": [row.id for row in outbox],
                        "channels": [row.channel for row in outbox],
                        "keys": [row.key for row in outbox],
                        "types": [row.type for row in outbox],
                        "bodies": [row.body for row in outbox],
                        "calls": [row.channel == CALLS for row in outbox],
                        "token": outbox[0].token,
                        "lease": self._lease,
                    },
                )
            )
        if changes.ledger:
            parts.append(Cte("billed", ADD_TO_LEDGER, _ledger_values(changes.ledger)))
        if changes.unclaimed:
            parts.append(Cte("unclaimed", UNCLAIM_MESSAGES, {"unclaimed": changes.unclaimed}))
        if parts:
            await save(self._session, parts)


def _ledger_values(entries: Sequence[LedgerEntry]) -> dict[str, Any]:
    amounts: list[dict[str, Any]] = [entry.call.payload.get("amount") or {} for entry in entries]
    return {
        "call_keys": [entry.call.key for entry in entries],
        "orders": [entry.call.payload["order_id"] for entry in entries],
        "providers": [entry.call.provider for entry in entries],
        "operations": [entry.call.operation for entry in entries],
        "outcomes": [entry.outcome.outcome for entry in entries],
        "amounts": [amount.get("amount") for amount in amounts],
        "currencies": [amount.get("currency") for amount in amounts],
    }


async def read_journal(session: Session, vocabulary: Vocabulary, event_ids: Sequence[str]) -> dict[str, Event]:
    """Those of the events that are recorded, by id."""
    rows = await session.fetch(READ_EVENTS, {"ids": event_ids})
    return {identity: vocabulary.decode(name, data) for identity, name, data in rows}


class SqlStore:
    """`ports.Store` on one service's database.

    `lease`: seconds for which an outbox row is leased; `pause`: the longest delay of `postpone`, in seconds.
    `writable` raises StoreUnavailable while the standby confirms no commit.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        vocabulary: Vocabulary,
        rows: Rows,
        lease: float = 5.0,
        pause: float = 5.0,
        writable: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._vocabulary, self._rows, self._lease = engine, vocabulary, rows, lease
        self._writable = writable
        self._longest = max(lease, pause) + 1.0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """Open a transaction; it commits when its context is left, an exception rolls it back."""
        self._writable()
        async with session(self._engine, transaction=True) as opened:
            yield SqlTransaction(opened, self._vocabulary, self._rows, self._lease)

    async def recorded(self, event_ids: Sequence[str]) -> dict[str, Event]:
        """Those of the events that are recorded, by id; outside any transaction."""
        async with session(self._engine, transaction=False) as opened:
            return await read_journal(opened, self._vocabulary, event_ids)

    async def lease_due(self, calls: bool, limit: int) -> Sequence[OutboxRow]:
        """Lease up to `limit` due outbox rows: provider calls, or messages."""
        self._writable()
        token = random.getrandbits(62)
        async with session(self._engine, transaction=False) as opened:
            values = {"token": token, "lease": self._lease, "longest": self._longest, "calls": calls, "limit": limit}
            rows = await opened.fetch(LEASE_DUE, values)
            return [OutboxRow(row[0], row[1], row[2], row[3], row[4], token, row[5]) for row in rows]

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        """Delete the rows, each only while its lease token is still the given one."""
        self._writable()
        async with session(self._engine, transaction=False) as opened:
            values = {"ids": [row.id for row in rows], "tokens": [row.token for row in rows]}
            await opened.fetch(DELETE_LEASED, values)

    async def postpone(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        """Make the rows due again after `seconds`, and count an attempt."""
        self._writable()
        values = {
            "ids": [row.id for row in rows],
            "tokens": [row.token for row in rows],
            "seconds": float(seconds),
        }
        async with session(self._engine, transaction=False) as opened:
            await opened.fetch(POSTPONE_LEASED, values)

"""The store on PostgreSQL, through SQLAlchemy Core and asyncpg.

Guarantee: a batch costs a fixed number of statements, however many messages it holds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.message import Command, Event, Vocabulary, message_id
from sagakit.ports import Changes, Claim, LedgerEntry, OutboxRow
from sagakit.postgres import outbox
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
# Adds the entries of an in-process provider to its ledger.
ADD_TO_LEDGER = (
    "INSERT INTO ledger (key, order_id, provider, operation, outcome, amount, currency) SELECT * FROM unnest("
    "CAST(:call_keys AS text[]), CAST(:orders AS text[]), CAST(:providers AS text[]), CAST(:operations AS text[]), "
    "CAST(:outcomes AS text[]), CAST(:amounts AS bigint[]), CAST(:currencies AS text[]))"
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
        if journal := changes.journal:
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
        parts += outbox.added(tuple(changes.outbox.values()), self._lease)
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


async def without_standby() -> None:
    """Without a standby there is nothing to wait for: every write is allowed."""


class SqlStore:
    """`ports.Store` on one service's database.

    `lease`: seconds for which an outbox row is leased; `pause`: the longest delay of `postpone`, in seconds.
    `check_writable` raises StoreUnavailable while the standby confirms no commit.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        vocabulary: Vocabulary,
        rows: Rows,
        lease: float = 5.0,
        pause: float = 5.0,
        check_writable: Callable[[], Awaitable[None]] = without_standby,
    ) -> None:
        self._engine, self._vocabulary, self._rows, self._lease = engine, vocabulary, rows, lease
        self._check_writable = check_writable
        self._longest = max(lease, pause) + 1.0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """Open a transaction; it commits when its context is left, an exception rolls it back."""
        await self._check_writable()
        async with session(self._engine, transaction=True) as opened:
            yield SqlTransaction(opened, self._vocabulary, self._rows, self._lease)

    async def recorded(self, event_ids: Sequence[str]) -> dict[str, Event]:
        """Those of the events that are recorded, by id; outside any transaction."""
        async with session(self._engine, transaction=False) as opened:
            return await read_journal(opened, self._vocabulary, event_ids)

    async def lease_due(self, calls: bool, limit: int) -> Sequence[OutboxRow]:
        """Lease up to `limit` due outbox rows: provider calls, or messages."""
        await self._check_writable()
        async with session(self._engine, transaction=False) as opened:
            return await outbox.lease_due(opened, calls=calls, limit=limit, lease=self._lease, longest=self._longest)

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        """Delete the rows, each only while its lease token is still the given one."""
        await self._check_writable()
        async with session(self._engine, transaction=False) as opened:
            await outbox.delete(opened, rows)

    async def postpone(self, rows: Sequence[OutboxRow], seconds: float) -> None:
        """Make the rows due again after `seconds`, and count an attempt."""
        await self._check_writable()
        async with session(self._engine, transaction=False) as opened:
            await outbox.postpone(opened, rows, seconds)

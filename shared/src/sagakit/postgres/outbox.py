"""The outbox: how the messages and calls of a commit are written, leased, deleted and postponed.

The messages of a commit are one row, their batch: the usual case is that all of them are published a moment later, and
a row is dear to write and dear to delete. As soon as they part ways (a lease ended, one of them was postponed, only
some were published), the batch is unpacked: each message becomes a row of its own, in the table that also holds the
calls to providers. The view `outbox_waiting` shows both.

The token of a batch names it, and its first lease.
"""

import random
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from sagakit.ports import CALLS, OutboxRow
from sagakit.postgres.rows import Cte
from sagakit.postgres.session import Session

# Adds the messages of a commit as one row, leased to this process.
ADD_BATCH: Final = (
    "INSERT INTO outbox_batch (token, ids, channels, keys, types, bodies, leased_until) VALUES (:token, "
    "CAST(:row_ids AS text[]), CAST(:channels AS text[]), CAST(:keys AS text[]), CAST(:types AS text[]), "
    "CAST(:bodies AS bytea[]), now() + make_interval(secs => :lease))"
)
# Adds calls, each as a row, leased to this process; a row with the same id is replaced.
ADD_CALLS: Final = (
    "INSERT INTO outbox (id, channel, key, type, body, is_call, token, leased_until) "
    "SELECT u.*, true, :token, now() + make_interval(secs => :lease) FROM unnest("
    "CAST(:call_ids AS text[]), CAST(:call_channels AS text[]), CAST(:call_subjects AS text[]), "
    "CAST(:call_types AS text[]), CAST(:call_bodies AS bytea[])) AS u "
    "ON CONFLICT (id) DO UPDATE SET channel = excluded.channel, body = excluded.body, token = excluded.token, "
    "leased_until = excluded.leased_until"
)
# Leases rows that are due, or whose lease ends later than any lease can: then the clock was set back. It reads two
# index ranges and waits for no lock.
LEASE_DUE: Final = (
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
_STILL_LEASED: Final = (
    "SELECT outbox.id FROM outbox JOIN unnest(CAST(:ids AS text[]), CAST(:tokens AS bigint[])) AS u(id, token) "
    "ON outbox.id = u.id AND outbox.token = u.token FOR UPDATE OF outbox SKIP LOCKED"
)
# A delete does not wait for the disk, nor for a standby: a row that comes back after a crash is published once more.
_AT_EASE: Final = "(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL"
# Deletes rows that are still leased to the caller.
DELETE_LEASED: Final = f"DELETE FROM outbox WHERE {_AT_EASE} AND id = ANY(ARRAY({_STILL_LEASED}))"
# Makes rows that are still leased to the caller due again after some seconds, and counts an attempt.
POSTPONE_LEASED: Final = (
    "UPDATE outbox SET attempts = attempts + 1, leased_until = now() + make_interval(secs => :seconds) "
    f"WHERE id = ANY(ARRAY({_STILL_LEASED}))"
)
# Deletes the batches that have no more messages than these; returns their tokens.
DELETE_BATCHES: Final = (
    f"DELETE FROM outbox_batch WHERE {_AT_EASE} AND token = ANY(ARRAY(SELECT held.token FROM outbox_batch AS held "
    "JOIN unnest(CAST(:tokens AS bigint[]), CAST(:numbers AS bigint[])) AS u(token, number) "
    "ON held.token = u.token AND cardinality(held.ids) = u.number FOR UPDATE OF held SKIP LOCKED)) RETURNING token"
)
# Moves the messages of batches into rows of their own, with the same lease. Of two with one id the later one counts.
_UNPACK: Final = (
    "WITH unpacked AS (DELETE FROM outbox_batch WHERE token = ANY(ARRAY({which})) RETURNING *) "
    "INSERT INTO outbox (id, channel, key, type, body, is_call, token, leased_until, created_at) "
    "SELECT DISTINCT ON (u.id) u.id, u.channel, u.key, u.type, u.body, false, token, leased_until, created_at "
    "FROM unpacked, unnest(ids, channels, keys, types, bodies) AS u(id, channel, key, type, body) "
    "ORDER BY u.id, created_at DESC "
    "ON CONFLICT (id) DO UPDATE SET channel = excluded.channel, body = excluded.body, token = excluded.token, "
    "leased_until = excluded.leased_until WHERE outbox.created_at <= excluded.created_at"
)
# Unpacks these batches.
UNPACK: Final = _UNPACK.format(
    which="SELECT token FROM outbox_batch WHERE token = ANY(CAST(:tokens AS bigint[])) FOR UPDATE SKIP LOCKED"
)
# Unpacks the batches whose messages are due, as LEASE_DUE understands it: the oldest, with about `limit` messages.
UNPACK_DUE: Final = _UNPACK.format(
    which="SELECT token FROM (SELECT token, sum(number) OVER (ORDER BY leased_until, token) - number AS before FROM ("
    "SELECT token, leased_until, cardinality(ids) AS number FROM outbox_batch "
    "WHERE leased_until < now() OR leased_until > now() + make_interval(secs => :longest) "
    "ORDER BY leased_until LIMIT :limit FOR UPDATE SKIP LOCKED) AS due) AS counted WHERE before < :limit"
)


def added(rows: Sequence[OutboxRow], lease: float) -> list[Cte]:
    """The statements that write the messages and calls of one commit, which share a token; `lease`: seconds."""
    messages, calls = [row for row in rows if row.channel != CALLS], [row for row in rows if row.channel == CALLS]
    parts = []
    if messages:
        names = ("row_ids", "channels", "keys", "types", "bodies")
        parts.append(
            Cte("posted", ADD_BATCH, {"token": messages[0].token, **_columns(messages, names), "lease": lease})
        )
    if calls:
        calls.sort(key=attrgetter("id"))
        names = ("call_ids", "call_channels", "call_subjects", "call_types", "call_bodies")
        values = {"token": calls[0].token, **_columns(calls, names), "lease": lease}
        parts.append(Cte("asked", ADD_CALLS, values))
    return parts


async def lease_due(session: Session, *, calls: bool, limit: int, lease: float, longest: float) -> Sequence[OutboxRow]:
    """Lease up to `limit` due rows for `lease` seconds. No lease is longer than `longest` seconds."""
    if not calls:
        await session.fetch(UNPACK_DUE, {"limit": limit, "longest": longest})
    token = random.getrandbits(62)
    values = {"token": token, "lease": lease, "longest": longest, "calls": calls, "limit": limit}
    rows = await session.fetch(LEASE_DUE, values)
    return [OutboxRow(row[0], row[1], row[2], row[3], row[4], token, row[5]) for row in rows]


async def delete(session: Session, rows: Sequence[OutboxRow]) -> None:
    """Delete the rows that are still leased to the caller: in one statement, where they are all of their batches."""
    messages = {(row.token, row.id) for row in rows if row.channel != CALLS}
    gone = set[int]()
    if messages:
        numbers = Counter(token for token, _ in messages)
        values = {"tokens": list(numbers), "numbers": list(numbers.values())}
        gone = {row[0] for row in await session.fetch(DELETE_BATCHES, values)}
    if rest := [row for row in rows if row.token not in gone]:
        await _unpack(session, rest)
        await session.fetch(DELETE_LEASED, _named(rest))


async def postpone(session: Session, rows: Sequence[OutboxRow], seconds: float) -> None:
    """Make the rows that are still leased to the caller due again after `seconds`, and count an attempt."""
    await _unpack(session, rows)
    await session.fetch(POSTPONE_LEASED, {**_named(rows), "seconds": float(seconds)})


async def _unpack(session: Session, rows: Sequence[OutboxRow]) -> None:
    if tokens := {row.token for row in rows if row.channel != CALLS}:
        await session.fetch(UNPACK, {"tokens": sorted(tokens)})


def _columns(rows: Sequence[OutboxRow], names: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of the rows, each under the name of its parameter."""
    columns = zip(*((row.id, row.channel, row.key, row.type, row.body) for row in rows), strict=True)
    return dict(zip(names, map(list, columns), strict=True))


def _named(rows: Sequence[OutboxRow]) -> dict[str, list[Any]]:
    return {"ids": [row.id for row in rows], "tokens": [row.token for row in rows]}

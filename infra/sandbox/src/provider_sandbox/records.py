"""The ledger in SQLite: one row per effect, found by key, by order, or in the order of the effects.

Guarantee: rows are only ever added. All functions run inside a transaction of the writer.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    operation TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    outcome TEXT NOT NULL,
    code TEXT NOT NULL,
    reference TEXT NOT NULL,
    amount INTEGER,
    currency TEXT,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS effects_by_order ON effects (order_id);
CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_COLUMNS: Final = "key, order_id, provider, operation, fingerprint, outcome, code, reference, amount, currency, at, seq"


@dataclass(frozen=True, slots=True)
class Record:
    """One effect; `seq` is its position in the ledger, `fingerprint` a digest of the call's content."""

    key: str
    order_id: str
    provider: str
    operation: str
    fingerprint: bytes
    outcome: str
    code: str
    reference: str
    amount: int | None
    currency: str | None
    at: str
    seq: int = 0

    def money(self) -> dict[str, Any] | None:
        """The amount as the API shows it."""
        return None if self.amount is None else {"amount": self.amount, "currency": self.currency}

    def answer(self) -> dict[str, Any]:
        """The answer to the call and to all its repeats."""
        return {"outcome": self.outcome, "code": self.code, "reference": self.reference}

    def entry(self) -> dict[str, Any]:
        """The entry as the API shows it."""
        return {
            "order_id": self.order_id,
            "provider": self.provider,
            "operation": self.operation,
            "outcome": self.outcome,
            "code": self.code,
            "amount": self.money(),
            "key": self.key,
            "at": self.at,
        }


def find(db: sqlite3.Connection, key: str) -> Record | None:
    """The effect under the key, or None."""
    row = db.execute(f"SELECT {_COLUMNS} FROM effects WHERE key = ?", (key,)).fetchone()
    return None if row is None else Record(*row)


def history(db: sqlite3.Connection, order_id: str) -> Mapping[str, Record]:
    """The effects of one order, by operation."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM effects WHERE order_id = ?", (order_id,))
    return {record.operation: record for record in (Record(*row) for row in rows)}


def add(db: sqlite3.Connection, record: Record) -> None:
    """Record an effect; its key must be new."""
    db.execute(
        f"INSERT INTO effects ({_COLUMNS.removesuffix(', seq')}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.key,
            record.order_id,
            record.provider,
            record.operation,
            record.fingerprint,
            record.outcome,
            record.code,
            record.reference,
            record.amount,
            record.currency,
            record.at,
        ),
    )


def count_failure(db: sqlite3.Connection, key: str) -> int:
    """Count one more deliberate failure of the key; return how many there were, this one included."""
    statement = "INSERT INTO failures VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET count = count + 1 RETURNING count"
    return int(db.execute(statement, (key,)).fetchone()[0])


def entries(db: sqlite3.Connection, order_id: str | None, after: int, limit: int) -> Sequence[Record]:
    """At most `limit` effects after the position `after`, oldest first, of one order or of all."""
    condition, values = ("order_id = ? AND ", [order_id]) if order_id is not None else ("", [])
    statement = f"SELECT {_COLUMNS} FROM effects WHERE {condition}seq > ? ORDER BY seq LIMIT ?"
    return [Record(*row) for row in db.execute(statement, (*values, after, limit))]

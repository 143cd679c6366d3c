"""The dead letters of a service, until an operator has dealt with them: in its database, or in memory."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.ports import DeadLetter
from sagakit.postgres.connection import connected

CAUSE_MAX: Final = 2000
# Adds a letter; a resolved one is open again.
ADD: Final = text(
    "INSERT INTO dead_letter (id, body, cause, subject) VALUES (:id, :body, :cause, :subject) "
    "ON CONFLICT (id) DO UPDATE SET cause = excluded.cause, "
    "subject = COALESCE(excluded.subject, dead_letter.subject), "
    "at = CASE WHEN dead_letter.resolved_at IS NULL THEN dead_letter.at ELSE excluded.at END, "
    "resolved_at = NULL, resolution = NULL, reason = NULL, resolved_by = NULL"
)
# Reads an open letter.
FIND: Final = text("SELECT id, body, cause, at, subject FROM dead_letter WHERE resolved_at IS NULL AND id = :id")
# Closes a letter that is open.
RESOLVE: Final = text(
    "UPDATE dead_letter SET resolved_at = now(), resolution = :resolution, resolved_by = :by "
    "WHERE id = :id AND resolved_at IS NULL"
)


def letter_id(body: bytes) -> str:
    """Derive the id of a letter from its bytes, so that repeats of a message are one letter."""
    return hashlib.sha256(body).hexdigest()[:32]


class SqlDeadLetters:
    """`ports.DeadLetters` on one service's database; each method is one statement in its own transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def add(self, body: bytes, cause: str, subject: str | None = None) -> None:
        """Record a letter; one that is open stays one letter, a resolved one is open again."""
        values = {"id": letter_id(body), "body": body, "cause": _storable(cause), "subject": subject}
        if subject is not None:
            values["subject"] = _storable(subject)
        async with connected(self._single) as connection:
            await connection.execute(ADD, values)

    async def find(self, letter_id: str) -> DeadLetter | None:
        """Find an open letter by id."""
        async with connected(self._single) as connection:
            row = (await connection.execute(FIND, {"id": letter_id})).first()
        return DeadLetter(row.id, row.body, row.cause, row.at, row.subject) if row else None

    async def resolve(self, letter_id: str, resolution: str, by: str | None = None) -> None:
        """Close an open letter; without effect if it is not open."""
        async with connected(self._single) as connection:
            await connection.execute(RESOLVE, {"id": letter_id, "resolution": resolution, "by": by})


class MemoryDeadLetters:
    """`ports.DeadLetters` in memory; `letters` holds the open ones by id."""

    def __init__(self) -> None:
        self.letters: dict[str, DeadLetter] = {}

    async def add(self, body: bytes, cause: str, subject: str | None = None) -> None:
        """Record a letter; one that is open stays one letter, a resolved one is open again."""
        key = letter_id(body)
        before = self.letters.get(key) or DeadLetter(key, body, "", datetime.now(UTC))
        self.letters[key] = replace(before, cause=_storable(cause), subject=subject or before.subject)

    async def find(self, letter_id: str) -> DeadLetter | None:
        """Find an open letter by id."""
        return self.letters.get(letter_id)

    async def resolve(self, letter_id: str, resolution: str, by: str | None = None) -> None:
        """Close an open letter; without effect if it is not open."""
        self.letters.pop(letter_id, None)


def _storable(words: str) -> str:
    return words[:CAUSE_MAX].replace("\x00", "\ufffd").encode(errors="replace").decode()

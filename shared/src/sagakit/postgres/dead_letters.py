"""Dead letters in a table of the service's own database."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.dead_letters import DeadLetter, letter_id, storable
from sagakit.postgres.connection import connected

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


class SqlDeadLetters:
    """DeadLetters on one service's database. Each method is one statement, in a transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def add(self, body: bytes, cause: str, subject: str | None = None) -> None:
        values = {"id": letter_id(body), "body": body, "cause": storable(cause), "subject": subject}
        if subject is not None:
            values["subject"] = storable(subject)
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

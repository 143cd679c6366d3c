"""Whether a service can do its work: its database, its tasks, the mode of its peers, and what it depends on.

**Not ready** (503) is a service whose own database is not reachable, writable and migrated, one with a task that keeps
failing by its own fault, and one whose peers run in another mode. What else is away, a broker, a coordinator, a
provider, makes it **degraded** (200): it still takes orders, which go on when that is back.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sagakit.app.peers import Peers
from sagakit.engine.engine import ServiceEngine
from sagakit.postgres.connection import connected, engine_for
from sagakit.postgres.standby import CONFIRM, NOT_CONFIRMED

COLUMNS: Final = text(
    "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE c.relname = ANY(CAST(:tables AS text[])) AND pg_table_is_visible(c.oid) "
    "AND a.attnum > 0 AND NOT a.attisdropped"
)
VERSION: Final = text("SELECT version_num FROM alembic_version")
# It locks no row, but is refused where rows cannot be locked: by a standby, and in a session that is read-only.
WRITABLE: Final = text("SELECT pg_is_in_recovery() FROM outbox WHERE false FOR UPDATE")
COMMIT: Final = text(CONFIRM)
_REVISION: Final = re.compile(r'^(revision|down_revision)\b[^=\n]*=\s*"([^"]+)"', re.MULTILINE)


def revisions(folder: Path) -> tuple[str, ...]:
    """The revisions in a folder of Alembic migrations, oldest first; read as text, for Alembic is slow to import."""
    found = [dict(_REVISION.findall(file.read_text())) for file in folder.glob("versions/*.py")]
    after = {one.get("down_revision"): one["revision"] for one in found if "revision" in one}
    chain: list[str] = []
    while (newer := after.get(chain[-1] if chain else None)) is not None:
        chain.append(newer)
    return tuple(chain)


class DatabaseProbe:
    """Asks the service's own database whether it is a writable primary with the tables that the code expects.

    It has a connection of its own, for a pool that is busy is no outage; there it commits nothing, and where commits
    wait for a `standby`, sees that one comes through. Any number may ask: a verdict is good for
    `fresh` seconds, and whoever asks meanwhile waits for the same one, `seconds` at most.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        metadata: MetaData,
        known: Sequence[str],
        *,
        fresh: float = 0.5,
        seconds: float = 1.0,
        standby: bool = False,
    ) -> None:
        self._engine, self._known, self._fresh, self._seconds = engine, known, fresh, seconds
        self._standby = standby
        self._own = engine_for(engine.url, 1, 0)
        self._single = self._own.execution_options(isolation_level="AUTOCOMMIT")
        self._columns = {
            f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns
        }
        self._tables = [*metadata.tables, "alembic_version"]
        self._looking: asyncio.Task[None] | None = None
        self._said, self._until = "", 0.0

    async def problem(self) -> str:
        """Empty when the database can be worked with, otherwise why not."""
        now = asyncio.get_running_loop().time()
        if self._looking is None or self._looking.done():
            if now < self._until:
                return self._said
            self._looking = asyncio.create_task(self._look())
        done, _ = await asyncio.wait({self._looking}, timeout=self._seconds)
        return self._said if done else f"no answer within {self._seconds:g} s"

    async def close(self) -> None:
        """Give back the connection."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._own.dispose()

    async def _look(self) -> None:
        before = self._said
        try:
            async with asyncio.timeout(self._seconds), connected(self._single) as connection:
                self._said = await self._wrong_with(connection)
            if before and not self._said:
                await self._engine.dispose()  # what is pooled is from before, and may be as useless as it was then
        except Exception as error:
            self._said = _reason(error)
        self._until = asyncio.get_running_loop().time() + self._fresh

    async def _wrong_with(self, connection: AsyncConnection) -> str:
        found = set((await connection.scalars(COLUMNS, {"tables": self._tables})).all())
        if missing := sorted((self._columns | {"alembic_version.version_num"}) - found):
            return f"not migrated: without {', '.join(missing[:5])}"
        version = await connection.scalar(VERSION)
        if self._known and version != self._known[-1] and version in (*self._known, None):
            return f"not migrated: at {version} instead of {self._known[-1]}"
        await connection.execute(WRITABLE)
        return await self._confirmed(connection) if self._standby else ""

    async def _confirmed(self, connection: AsyncConnection) -> str:
        try:
            async with asyncio.timeout(self._seconds / 2):
                await connection.execute(COMMIT)
        except TimeoutError:
            return f"not replicated: {NOT_CONFIRMED}"
        return ""


class Readiness:
    """The answer to `/health/ready`, by the rule above. `about`: what it tells besides."""

    def __init__(
        self, participant: ServiceEngine, database: DatabaseProbe, peers: Peers, broker: str, about: Mapping[str, Any]
    ) -> None:
        self._participant, self._database, self._peers = participant, database, peers
        self._broker, self._about = broker, about

    async def __call__(self) -> Mapping[str, Any]:
        participant = self._participant
        problem, failing = await self._database.problem(), participant.beyond_bound()
        others, away = self._peers.disagreement(), participant.dependencies.away()
        if not participant.connected:
            away.setdefault(self._broker, "not connected yet")
        reasons = [
            *([f"database {problem}"] if problem else []),
            *(f"{task} fails: {why}" for task, why in failing.items()),
            *(f"{peer} runs in {mode}" for peer, mode in others.items()),
        ]
        return {
            "ready": not reasons,
            **({"reason": "; ".join(reasons)} if reasons else {}),
            **self._about,
            "database": not problem,
            "coordination": self._broker not in away,
            "away": away,
            "ailing": participant.ailing(),
        }


def _reason(error: BaseException) -> str:
    """The kind of the error, without its words: anybody may read this."""
    while error.__cause__ is not None:
        error = error.__cause__
    if getattr(error, "sqlstate", None) == "25006":
        return "read-only"
    return f"not reachable: {type(error).__name__}"

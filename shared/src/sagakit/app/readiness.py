"""Whether a service can do its work: its database, its tasks, the mode of its peers, and what it depends on.

A service is **not ready** (503) when its own database is not reachable, writable and migrated, when a task keeps
failing through its own fault, and when its peers run in another mode. Any other missing dependency (broker,
coordinator, provider) makes it **degraded** (200): it still takes orders, which continue when that is back.
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
# It locks no row, but fails where rows cannot be locked: on a standby, and in a read-only session.
WRITABLE: Final = text("SELECT pg_is_in_recovery() FROM outbox WHERE false FOR UPDATE")
COMMIT: Final = text(CONFIRM)
_REVISION: Final = re.compile(r'^(revision|down_revision)\b[^=\n]*=\s*"([^"]+)"', re.MULTILINE)


def revisions(folder: Path) -> tuple[str, ...]:
    """The revisions in a folder of Alembic migrations, oldest first. Read as text: Alembic is slow to import."""
    files = [dict(_REVISION.findall(path.read_text())) for path in folder.glob("versions/*.py")]
    after = {file.get("down_revision"): file["revision"] for file in files if "revision" in file}
    chain: list[str] = []
    while (newer := after.get(chain[-1] if chain else None)) is not None:
        chain.append(newer)
    return tuple(chain)


class DatabaseProbe:
    """Asks the service's own database whether it is a writable primary with the tables that the code expects.

    It has a connection of its own, because a busy pool is no outage. It changes nothing; where commits wait for a
    standby, it makes sure that an empty one comes through. Concurrent callers share one answer.
    """

    def __init__(
        self,
        database: AsyncEngine,
        metadata: MetaData,
        known: Sequence[str],
        *,
        fresh: float = 0.5,
        seconds: float = 1.0,
        standby: bool = False,
    ) -> None:
        """Open nothing yet.

        Args:
            database: Whose address is used, and whose pool is emptied after an outage.
            metadata: The tables that must be there.
            known: The revisions of this code's migrations, oldest first.
            fresh: Seconds for which an answer is reused.
            seconds: The longest time that an answer takes.
            standby: Whether commits wait for a standby.
        """
        self._database, self._known, self._fresh, self._seconds = database, known, fresh, seconds
        self._standby = standby
        self._own = engine_for(database.url, 1, 0)
        self._single = self._own.execution_options(isolation_level="AUTOCOMMIT")
        self._columns = {
            f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns
        }
        self._tables = [*metadata.tables, "alembic_version"]
        self._asking: asyncio.Task[None] | None = None
        self._problem, self._until = "", 0.0

    async def problem(self) -> str:
        """Why the database cannot be used; empty if it can."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or self._asking.done():
            if now < self._until:
                return self._problem
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=self._seconds)
        return self._problem if done else self._no_answer()

    async def close(self) -> None:
        """Close the connection."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._own.dispose()

    def _no_answer(self) -> str:
        return f"no answer within {self._seconds:g} s"

    async def _ask(self) -> None:
        before, limit = self._problem, asyncio.timeout(self._seconds)
        try:
            async with limit, connected(self._single) as connection:
                self._problem = await self._problem_with(connection)
            if before and not self._problem:
                await self._database.dispose()  # pooled connections are from before the outage
        except Exception as error:
            self._problem = self._no_answer() if limit.expired() else _reason(error)
        self._until = asyncio.get_running_loop().time() + self._fresh

    async def _problem_with(self, connection: AsyncConnection) -> str:
        columns = set((await connection.scalars(COLUMNS, {"tables": self._tables})).all())
        if missing := sorted((self._columns | {"alembic_version.version_num"}) - columns):
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
    """The answer to `/health/ready`, by the rule above."""

    def __init__(
        self, engine: ServiceEngine, probe: DatabaseProbe, peers: Peers, broker: str, about: Mapping[str, Any]
    ) -> None:
        """`broker`: the name of what carries messages; `about`: what else the answer says of the process."""
        self._engine, self._probe, self._peers = engine, probe, peers
        self._broker, self._about = broker, about

    async def __call__(self) -> Mapping[str, Any]:
        """Ask, and return the body of the answer."""
        engine = self._engine
        problem, failing = await self._probe.problem(), engine.beyond_bound()
        others, away = self._peers.disagreement(), engine.dependencies.away()
        if not engine.connected:
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
            "ailing": engine.ailing(),
        }


def _reason(error: BaseException) -> str:
    """The type of the error without its message, so that everybody may read it."""
    while error.__cause__ is not None:
        error = error.__cause__
    if getattr(error, "sqlstate", None) == "25006":
        return "read-only"
    return f"not reachable: {type(error).__name__}"

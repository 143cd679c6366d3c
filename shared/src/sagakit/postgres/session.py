"""A connection as the hot statements use it: asyncpg's own, which SQLAlchemy's pool lends.

SQLAlchemy opens, checks and replaces the connections. A statement through it costs several times what it costs at the
driver, so what every batch executes goes to the driver, which prepares each statement once per connection.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, Protocol

from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sagakit.postgres.connection import STALE, connected

log = logging.getLogger(__name__)

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]


class Session(Protocol):
    """Executes statements on one connection. Parameters are named in the SQL, as in `:ids`."""

    async def fetch(self, sql: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Execute a statement; the rows that it returns."""


class DriverSession:
    """A Session on asyncpg's own connection."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def fetch(self, sql: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """As Session.fetch."""
        numbered, names = _numbered(sql)
        rows: Sequence[Sequence[Any]] = await self._driver.fetch(numbered, *[values[name] for name in names])
        return rows


@asynccontextmanager
async def session(engine: AsyncEngine, *, transaction: bool) -> AsyncIterator[DriverSession]:
    """A session in one transaction, which an exception rolls back, or one that commits each statement.

    Errors are those of `connection.translated`. A connection in doubt is not used again, and none of the pool after an
    error that makes all of them useless.
    """
    async with connected(engine) as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        try:
            if transaction:
                await driver.execute("BEGIN")
            yield DriverSession(driver)
            if transaction:
                await driver.execute("COMMIT")
        except BaseException as error:
            stale = (getattr(error, "sqlstate", None) or "").startswith(STALE)
            await _give_up(connection, driver, error, stale)
            if stale:
                await engine.dispose()
            raise


async def _give_up(connection: AsyncConnection, driver: Any, error: BaseException, stale: bool) -> None:
    """Roll back. A connection that is stale or does not answer, or whose statement was cancelled, is closed."""
    answers = isinstance(error, Exception) and not isinstance(error, TimeoutError | OSError) and not driver.is_closed()
    try:
        if answers and not stale:
            if driver.is_in_transaction():
                await driver.execute("ROLLBACK")
            return
    except Exception as failure:
        log.info("a transaction could not be rolled back, its connection is closed: %r", failure)
    await connection.invalidate()


@cache
def _numbered(sql: str) -> tuple[str, Sequence[str]]:
    """The statement with numbered parameters, as the driver takes it, and the names in their order."""
    compiled = text(sql).compile(dialect=_DIALECT)
    return str(compiled), tuple(getattr(compiled, "positiontup", None) or ())

"""The connection to a service's own PostgreSQL: a pool in which everything has an end, and errors in our own words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import URL, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sagakit.ports import RowRejected, RowsLocked, StoreUnavailable
from sagakit.postgres.standby import Standby
from sagakit.wording import stated

LIMITS = {"lock_timeout": "200ms", "idle_in_transaction_session_timeout": "10s"}
# By SQLSTATE, or its class. An outage: connection, credentials, no such database, resources, operator's intervention,
# system error, a server that only reads (after a failover). Whatever stands in no list is a defect, and shows as one.
OUTAGE = ("08", "28", "3D", "53", "57P", "58", "25006")
# Rows that somebody else holds: lock not available, deadlock, serialization failure, statement cancelled.
LOCKED = ("55P03", "40P01", "40001", "57014")
# What a repeat cannot cure: cardinality, data, integrity, program limit.
REJECTED = ("21", "22", "23", "54")
# SQLSTATEs after which no session is worth keeping: read-only (a failover), ended by an operator, a shutdown, a crash.
STALE = ("25006", "57P")
RECYCLE = 1800.0  # seconds that a session lives

# The last one is what asyncpg makes of a connection that is cut off while it is being made.
DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def engine_for(url: str | URL, pool: int, overflow: int = 2, standby: Standby | None = None) -> AsyncEngine:
    """A pooled engine whose every statement, and every wait for a connection or a lock, has an end.

    An error after which sessions are useless ends all that are pooled; each ends by its age too. Where commits wait
    for a `standby`, that opens the sessions, and no statement takes longer than it allows.
    """
    waits = {"async_creator_fn": standby.connect} if standby else {}
    longest = min(10.0, standby.seconds) if standby else 10
    engine = create_async_engine(
        url,
        pool_size=pool,
        max_overflow=overflow,
        pool_timeout=5,
        pool_recycle=RECYCLE,
        pool_pre_ping=False,
        hide_parameters=True,
        connect_args={"timeout": 5, "command_timeout": longest, "server_settings": LIMITS, **waits},
    )
    event.listen(engine.sync_engine, "checkout", _still_open)
    event.listen(engine.sync_engine, "handle_error", _stale)
    return engine


def _stale(context: ExceptionContext) -> None:
    """Let SQLAlchemy drop all pooled connections after such an error, as it does after a lost one."""
    if (getattr(context.original_exception, "sqlstate", None) or "").startswith(STALE):
        context.is_disconnect = True


def _still_open(connection: Any, record: Any, proxy: Any) -> None:
    """Before a connection is used: one that the server has closed means that all of them are stale."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError("closed by the server")


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Database errors in the words of the ports; an error that is none of these passes as it is: it is a defect."""
    try:
        yield
    except (SQLAlchemyError, *DRIVER, OSError, TimeoutError) as error:
        orig = getattr(error, "orig", None) or error
        code, said = getattr(orig, "sqlstate", None) or "", stated(orig)
        if code.startswith(LOCKED):
            raise RowsLocked(detail=said) from error
        if code.startswith(OUTAGE) or (not code and _lost(error, orig)):
            raise StoreUnavailable(said) from error
        unsendable = isinstance(orig.__cause__, asyncpg.exceptions.DataError | ValueError | TypeError)
        wrong = isinstance(error, StatementError) and not isinstance(error, DBAPIError)
        if code.startswith(REJECTED) or unsendable or wrong:
            raise RowRejected(said) from error
        raise


def _lost(error: BaseException, orig: BaseException) -> bool:
    """Whether an error without SQLSTATE says that there is no connection, or no answer in time."""
    cause = orig.__cause__ or orig
    if isinstance(error, InvalidatePoolError | PoolTimeout) or getattr(error, "connection_invalidated", False):
        return True
    if isinstance(cause, asyncpg.exceptions.DataError):
        return False
    return isinstance(cause, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError)


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection with `translated` errors; one that did not answer in time is not used again."""
    async with translated(), engine.connect() as connection:
        try:
            yield connection
        except (TimeoutError, OSError):
            await connection.invalidate()
            raise

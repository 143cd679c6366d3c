"""Connections to a service's own PostgreSQL: a pool whose every wait has a timeout, and translated errors.

Guarantee: an outage, a locked row and a rejected row each have an error of their own (`sagakit.ports`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import URL, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sagakit.ports import RowExists, RowRejected, RowsLocked, StoreUnavailable
from sagakit.postgres.standby import Standby
from sagakit.wording import stated

# Of every session. A statement that is planned while its table is small keeps its plan until the table is analyzed, so
# no plan reads a whole table where there is an index; such plans would look too dear to run without compiling them.
SESSION = {
    "lock_timeout": "200ms",
    "idle_in_transaction_session_timeout": "10s",
    "enable_seqscan": "off",
    "jit": "off",
}
# SQLSTATEs, or their first characters. OUTAGE: connection, credentials, no such database, resources, operator
# intervention, system error, a read-only server (after a failover). A code in no list is a defect and stays an error.
OUTAGE = ("08", "28", "3D", "53", "57P", "58", "25006")
# Rows that another transaction has locked: lock not available, deadlock, serialization failure, statement cancelled.
LOCKED = ("55P03", "40P01", "40001", "57014")
# Errors that a retry cannot cure: cardinality, data, integrity, program limit.
REJECTED = ("21", "22", "23", "54")
UNIQUE_VIOLATION = "23505"
# Errors after which all pooled sessions are useless: read-only (a failover), ended by an operator, a shutdown, a crash.
STALE = ("25006", "57P")
RECYCLE = 1800.0  # seconds after which a session is replaced

# Of each element of an array, asyncpg asks two abstract base classes whether it is an array itself, which takes longer
# than to encode it. The arrays of our statements are lists and tuples.
asyncpg.protocol.protocol.IterableABC = (list, tuple)

# asyncpg raises InternalClientError for a connection that is cut off while it is being opened.
DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def engine_for(url: str | URL, pool: int, overflow: int = 2, standby: Standby | None = None) -> AsyncEngine:
    """Create a pooled engine in which every statement, and every wait for a connection or a lock, has a timeout.

    A session is replaced at the age of `RECYCLE` seconds, and all of them after an error that makes them useless. With
    a `standby`, for which commits wait, it opens the sessions, and its timeout limits every statement.
    """
    waits = {"async_creator_fn": standby.connect} if standby else {}
    longest = min(10.0, standby.seconds) if standby else 10
    engine = create_async_engine(
        url,
        pool_size=pool,
        max_overflow=overflow,
        pool_timeout=5,
        pool_recycle=RECYCLE,
        pool_use_lifo=True,  # the session used last has its statements planned and its pages in the caches
        pool_pre_ping=False,
        hide_parameters=True,
        connect_args={"timeout": 5, "command_timeout": longest, "server_settings": SESSION, **waits},
    )
    event.listen(engine.sync_engine, "checkout", _still_open)
    event.listen(engine.sync_engine, "handle_error", _stale)
    return engine


def _stale(context: ExceptionContext) -> None:
    """Let SQLAlchemy drop all pooled connections after such an error, as it does after a lost connection."""
    if (getattr(context.original_exception, "sqlstate", None) or "").startswith(STALE):
        context.is_disconnect = True


def _still_open(connection: Any, record: Any, proxy: Any) -> None:
    """Check a connection before it is used: if the server has closed it, all pooled ones are stale.

    Raises:
        InvalidatePoolError: The connection is closed.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError("closed by the server")


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn database errors into those of the ports; any other error is a defect and passes unchanged.

    Raises:
        StoreUnavailable: The database did not answer; it is unknown whether anything has changed.
        RowsLocked: Another transaction has locked the rows; nothing has changed.
        RowRejected: The database refused a value; a retry cannot help.
        RowExists: The same, because another row has the value, which must be unique.
    """  # noqa: DOC501  # other errors pass unchanged
    try:
        yield
    except (SQLAlchemyError, *DRIVER, OSError, TimeoutError) as error:
        orig = getattr(error, "orig", None) or error
        code, words = getattr(orig, "sqlstate", None) or "", stated(orig)
        if code.startswith(LOCKED):
            raise RowsLocked(detail=words) from error
        if code.startswith(OUTAGE) or (not code and _lost(error, orig)):
            raise StoreUnavailable(words) from error
        unsendable = isinstance(orig.__cause__, asyncpg.exceptions.DataError | ValueError | TypeError)
        wrong = isinstance(error, StatementError) and not isinstance(error, DBAPIError)
        if code.startswith(REJECTED) or unsendable or wrong:
            raise (RowExists if code == UNIQUE_VIOLATION else RowRejected)(words) from error
        raise


def _lost(error: BaseException, orig: BaseException) -> bool:
    """Whether an error without SQLSTATE means that there is no connection, or no answer in time."""
    cause = orig.__cause__ or orig
    if isinstance(error, InvalidatePoolError | PoolTimeout) or getattr(error, "connection_invalidated", False):
        return True
    if isinstance(cause, asyncpg.exceptions.DataError):
        return False
    return isinstance(cause, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError)


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a connection with `translated` errors; one that did not answer in time is not used again."""  # noqa: DOC501
    async with translated(), engine.connect() as connection:
        try:
            yield connection
        except (TimeoutError, OSError):
            await connection.invalidate()
            raise

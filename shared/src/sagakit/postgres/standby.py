"""Commits that wait for a synchronous standby: how long, and what a timeout means.

With a synchronous standby PostgreSQL writes a commit to its own disk, waits until the standby has confirmed it, and
only then makes it visible and answers. Three rules follow from that, and this module enforces them:

- **A wait is never cancelled.** A cancel request, as drivers send after a timeout, ends the wait: the server then shows
  the transaction as committed although the standby lacks it. So a session that times out is abandoned instead: the
  server goes on waiting, with the transaction invisible, until the standby is back. The outcome is unknown to the
  caller, who may retry: commands have ids.
- **A session begins with a commit** that the standby has confirmed. A restarted primary shows what is on its own disk,
  so nothing may be read from it before the standby has all of that too.
- **After a timeout no write begins** until an empty commit has been confirmed: while the standby does not confirm,
  every abandoned session stays open at the server.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from sagakit.ports import StoreUnavailable

log = logging.getLogger(__name__)

# An empty commit, one record in the log: it shows nothing, so cancelling its wait does no harm.
CONFIRM: Final = "SELECT pg_logical_emit_message(true, 'standby', '')"
GRACE: Final = 0.25  # seconds for an empty commit to be confirmed; statements are cancelled for other reasons too
NOT_CONFIRMED: Final = "the database's standby confirms no commit"


class Abandoning(asyncpg.Connection):  # type: ignore[misc]
    """A session that is abandoned when a statement is cancelled or times out; no cancel request is sent."""

    abandoned: Callable[[], None] = staticmethod(lambda: None)
    harmless = True

    def _cancel_current_command(self, *waiters: Any) -> None:
        """Abandon the session; asyncpg calls this to send a cancel request."""
        if self.harmless:
            super()._cancel_current_command(*waiters)
            return
        self.abandoned()
        asyncio.get_running_loop().call_soon(self.terminate)  # later: asyncpg is still using the statement


class Standby:
    """Opens the sessions of one pool, and tracks whether the standby confirms commits, within `seconds` each."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._probe: asyncio.Task[None] | None = None
        self._probe_started = 0.0  # when `_probe` began

    async def connect(self, *arguments: Any, **options: Any) -> Abandoning:
        """Open a session in which the standby has everything that can be read.

        Raises:
            StoreUnavailable: The standby confirms no commit.
        """
        await self.check()
        connection: Abandoning = await asyncpg.connect(*arguments, **options, connection_class=Abandoning)
        try:
            await connection.execute(CONFIRM, timeout=self.seconds)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, TimeoutError):
                self._start_probe(arguments, options)
                raise StoreUnavailable(NOT_CONFIRMED) from error
            raise
        connection.abandoned = lambda: self._start_probe(arguments, options)
        connection.harmless = False
        return connection

    async def check(self) -> None:
        """Return if commits are confirmed, as far as is known; while that is in doubt, wait, GRACE at most.

        A write that began meanwhile would wait for the standby, and so would all that come after it.

        Raises:
            StoreUnavailable: A commit waits for its confirmation.
        """
        if self._probe is None or self._probe.done():
            return
        rest = self._probe_started + GRACE - asyncio.get_running_loop().time()
        if rest <= 0 or not (await asyncio.wait([self._probe], timeout=rest))[0]:
            raise StoreUnavailable(NOT_CONFIRMED)

    async def close(self) -> None:
        """Stop probing."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    def _start_probe(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if self._probe is None or self._probe.done():
            loop = asyncio.get_running_loop()
            self._probe_started = loop.time()
            self._probe = loop.create_task(self._until_confirmed(arguments, options))

    async def _until_confirmed(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Probe until a commit is confirmed; leave any other error to the statements that meet it."""
        reported = False
        while True:
            try:
                connection = await asyncpg.connect(*arguments, **options)
                try:
                    await connection.execute(CONFIRM, timeout=self.seconds)
                finally:
                    connection.terminate()
            except TimeoutError:
                if not reported:
                    log.warning("%s within %g s; writes are refused until it does", NOT_CONFIRMED, self.seconds)
                reported = True
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                return
            else:
                if reported:
                    log.warning("the database's standby confirms commits again")
                return

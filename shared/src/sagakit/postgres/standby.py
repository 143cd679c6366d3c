"""Commits that wait for a standby: what may be answered, for how long one waits, and what a time-out means.

With a synchronous standby PostgreSQL writes a commit to its own disk, waits until the standby has it, and only then
lets others see it and answers. Three things follow, and this module keeps them:

- **A wait is never cancelled.** A cancel request, as drivers send one after a time-out, ends the wait: the server then
  shows to everybody what the standby does not have, and calls it committed. So a session whose time is over is
  abandoned: the server's side of it goes on waiting, invisible, until the standby is back. The outcome is unknown to
  the caller, who may repeat: commands have ids.
- **A session begins with a commit** that the standby has confirmed. A primary that was started again shows what is on
  its own disk, so nothing may be read from it before the standby has all of that too.
- **Who has waited in vain is not followed by others.** While a standby does not confirm, every abandoned session
  stays at the server; so nobody starts a write until a commit that carries nothing came through.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from sagakit.ports import StoreUnavailable

log = logging.getLogger(__name__)

# A commit without content: nothing to see, so that cancelling its wait does no harm. One record in the log.
CONFIRM: Final = "SELECT pg_logical_emit_message(true, 'standby', '')"
GRACE: Final = (
    0.25  # seconds for a commit without content to come through; statements are cancelled for other reasons too
)
SAID: Final = "the database's standby confirms no commit"


class Abandoning(asyncpg.Connection):  # type: ignore[misc]
    """A session that is given up, instead of cancelled, when a statement is cancelled or takes too long."""

    given_up: Callable[[], None] = staticmethod(lambda: None)
    harmless = True

    def _cancel_current_command(self, *waiters: Any) -> None:
        """asyncpg calls this to send a cancel request."""
        if self.harmless:
            super()._cancel_current_command(*waiters)
            return
        self.given_up()
        asyncio.get_running_loop().call_soon(self.terminate)  # asyncpg is not done with the statement yet


class Standby:
    """Of one pool: opens its sessions, and knows whether commits come through. `seconds`: how long one may take."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._asked: asyncio.Task[None] | None = None
        self._since = 0.0  # when it was begun to ask

    async def connect(self, *arguments: Any, **options: Any) -> Abandoning:
        """A session that may be used: the standby has all that can be read in it. Raises StoreUnavailable."""
        self.check()
        connection: Abandoning = await asyncpg.connect(*arguments, **options, connection_class=Abandoning)
        try:
            await connection.execute(CONFIRM, timeout=self.seconds)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, TimeoutError):
                self._ask(arguments, options)
                raise StoreUnavailable(SAID) from error
            raise
        connection.given_up = lambda: self._ask(arguments, options)
        connection.harmless = False
        return connection

    def check(self) -> None:
        """Raise StoreUnavailable while a commit is known to wait."""
        if self._asked is None or self._asked.done():
            return
        if asyncio.get_running_loop().time() > self._since + GRACE:
            raise StoreUnavailable(SAID)

    async def close(self) -> None:
        """Ask no more."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)

    def _ask(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if self._asked is None or self._asked.done():
            loop = asyncio.get_running_loop()
            self._since = loop.time()
            self._asked = loop.create_task(self._until_confirmed(arguments, options))

    async def _until_confirmed(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Until a commit came through; any other trouble is left to those who meet it."""
        waited = False
        while True:
            try:
                connection = await asyncpg.connect(*arguments, **options)
                try:
                    await connection.execute(CONFIRM, timeout=self.seconds)
                finally:
                    connection.terminate()
            except TimeoutError:
                if not waited:
                    log.warning("%s within %g s; writes are refused until it does", SAID, self.seconds)
                waited = True
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                return
            else:
                if waited:
                    log.warning("the database's standby confirms commits again")
                return

"""Reads by key, which any number of requests share."""

import asyncio
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sagakit.postgres.connection import connected
from sagakit.web.app import NotFound, Principal


class DataLoader:
    """Answers reads by key that arrive together with one query; a lone read never waits, unless there is a `pause`.

    `statement` selects the rows of `:ids`, an array of text; its first column is the key. `pause`: seconds in which
    reads gather before each query, where fewer queries count more than an early answer.
    """

    def __init__(self, database: AsyncEngine, statement: str, pause: float = 0.0) -> None:
        self._database = database.execution_options(isolation_level="AUTOCOMMIT")
        self._statement, self._pause = text(statement), pause
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._running: asyncio.Task[None] | None = None

    async def get(self, key: str) -> Any:
        """The row of that key as it was after this call began; None if there is none. Keys are printable."""
        if not key.isprintable():
            return None
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(future)

    async def owner(self, key: str) -> str | None:
        """The column `customer` of the row, or None."""
        row = await self.get(key)
        return row.customer if row else None

    async def get_for(self, caller: Principal, key: str, missing: str) -> Any:
        """The row, for the customer whose it is and for operators.

        Raises:
            NotFound: There is no such row, or it is somebody else's; its text is `missing`.
        """
        row = await self.get(key)
        if row is None or not (caller.is_admin or row.customer == caller.subject):
            raise NotFound(missing)
        return row

    async def _run(self) -> None:
        while self._waiting:
            if self._pause:
                await asyncio.sleep(self._pause)
            waiting, self._waiting = self._waiting, {}
            try:
                async with connected(self._database) as connection:
                    found = await connection.execute(self._statement, {"ids": sorted(waiting)})
                    rows = {row[0]: row for row in found}
            except Exception as error:
                for future in waiting.values():
                    future.set_exception(error)
                    future.exception()
            else:
                for key, future in waiting.items():
                    future.set_result(rows.get(key))

"""The steps over asyncpg, a pool for each database, as the peers without a database layer of their own do them."""

import os
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import Any, Final

import asyncpg

from loadtests.bench.peers.work import COMPLETED, SCHEMA, STEPS, Order, numbered

CONNECTIONS: Final = 10


def address(service: str) -> str:
    """The URL of a service's database, which the environment has."""
    return os.environ[f"PEER_{service.upper()}_DATABASE"]


class Databases:
    """The databases of some services."""

    def __init__(self, services: Iterable[str], connections: int = CONNECTIONS) -> None:
        self._services, self._connections = tuple(services), connections
        self._pools: dict[str, Any] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> "Databases":
        for name in self._services:
            pool = asyncpg.create_pool(
                address(name), min_size=1, max_size=self._connections, server_settings={"search_path": SCHEMA}
            )
            self._pools[name] = await self._open.enter_async_context(pool)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def do(self, step: str, order: Order, about: str = "") -> bool:
        """Do a step in a transaction; returns whether this was the first time."""
        first, *others = map(_numbered, STEPS[step].statements)
        values = order.values(step, about)
        async with self._pools[STEPS[step].service].acquire() as connection, connection.transaction():
            if await connection.fetchval(first[0], *(values[name] for name in first[1])) is None:
                return False
            for text, names in others:
                await connection.execute(text, *(values[name] for name in names))
        return True

    async def completed(self, order: Order) -> bool:
        """Whether the order has completed."""
        return bool(await self._pools["order"].fetchval(_numbered(COMPLETED)[0], order.order_id))


@lru_cache
def _numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    return numbered(statement)

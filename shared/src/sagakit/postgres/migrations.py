"""Runs a service's Alembic migrations, which lie beside its `src` folder."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

Seed = Callable[[AsyncConnection], Awaitable[None]]
"""Writes the first rows of a new database; without effect if they exist."""


def upgrade(folder: Path, url: str, seed: Seed | None = None) -> None:
    """Migrate the database at `url` to the newest revision in `folder`, then load the seed; safe to repeat."""
    asyncio.run(_upgrade(folder, url, seed))


async def _upgrade(folder: Path, url: str, seed: Seed | None) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_to_head, folder)
            if seed is not None:
                await seed(connection)
    finally:
        await engine.dispose()


def _to_head(connection: Connection, folder: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run(metadata: MetaData) -> None:
    """Run the migrations on the connection that `upgrade` opened: the body of every `env.py`."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()

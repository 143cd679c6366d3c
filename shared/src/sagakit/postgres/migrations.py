"""Alembic, for a service whose migrations lie beside its `src` folder."""

import asyncio
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from sagakit.app.host import Recipe, folder_of
from sagakit.settings import Settings


def upgrade(recipe: Recipe, settings: Settings) -> None:
    """Bring the service's database to the newest revision and load the seed; harmless when it is there."""
    asyncio.run(_upgrade(recipe, settings))


async def _upgrade(recipe: Recipe, settings: Settings) -> None:
    engine = create_async_engine(settings.database_url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_to_head, folder_of(recipe))
            if recipe.seed is not None:
                await recipe.seed(connection)
    finally:
        await engine.dispose()


def _to_head(connection: Connection, folder: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run(metadata: MetaData) -> None:
    """The body of every `env.py`: migrate over the connection that `upgrade` opened."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()

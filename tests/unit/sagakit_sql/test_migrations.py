"""In every service, the migrations create the tables that the code expects."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from quartet_stack.settings import SERVICES
from tests.postgres import Server, definition


def _differences(connection: Connection, service: str) -> object:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return compare_metadata(context, definition(service).metadata)


@pytest.mark.parametrize("service", SERVICES)
async def test_the_newest_revision_is_what_the_store_describes(postgres: Server, service: str) -> None:
    engine = create_async_engine(postgres.database(service))
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences, service) == []
    await engine.dispose()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_view_of_the_outbox_is_what_the_store_describes(postgres: Server, service: str) -> None:
    shown = "SELECT pg_get_viewdef('outbox_waiting') AS sql"
    described = postgres.empty()
    engine = create_async_engine(described)
    async with engine.begin() as connection:
        await connection.run_sync(definition(service).metadata.create_all)
    await engine.dispose()
    migrated = postgres.query(postgres.database(service), shown)[0]["sql"]
    assert postgres.query(described, shown)[0]["sql"] == migrated


@pytest.mark.parametrize("service", SERVICES)
async def test_migrating_twice_is_harmless(postgres: Server, service: str) -> None:
    url = postgres.empty()
    counts = []
    for _ in range(2):
        await asyncio.to_thread(postgres.migrate, service, url)
        tables = postgres.query(url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname !~ '^(pg|sql)_'")
        names = sorted(row["relname"] for row in tables)
        counts.append({name: postgres.query(url, f"SELECT count(*) FROM {name}")[0][0] for name in names})
    assert counts[0] == counts[1]
    assert {"inbox", "journal", "outbox", "dead_letter", "alembic_version"} <= counts[0].keys()

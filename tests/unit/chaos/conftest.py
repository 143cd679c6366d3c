"""A service's database on a real server; see tests/postgres.py."""

from collections.abc import Callable

import pytest

from tests.postgres import database, postgres, postgres_server

__all__ = ["database", "postgres", "postgres_server"]


@pytest.fixture
def payment_url(database: Callable[[str], str]) -> str:
    """The URL of the payment service's database, for asyncpg."""
    return database("payment").replace("+asyncpg", "")

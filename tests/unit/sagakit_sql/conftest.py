"""The machinery on a real database; see tests/postgres.py."""

from tests.postgres import database, postgres, postgres_server

__all__ = ["database", "postgres", "postgres_server"]

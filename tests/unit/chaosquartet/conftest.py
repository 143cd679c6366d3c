"""What the probes read, on a real server; see tests/postgres.py."""

from tests.postgres import postgres_server

__all__ = ["postgres_server"]

"""Alembic's entry point: the migrations of the order database."""

from order_service.store import METADATA
from sagakit.postgres.migrations import run

run(METADATA)

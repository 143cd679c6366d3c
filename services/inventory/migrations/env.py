"""Alembic's entry point: the migrations of the inventory database."""

from inventory_service.store import METADATA
from sagakit.postgres.migrations import run

run(METADATA)

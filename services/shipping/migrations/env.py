"""Alembic's entry point: the migrations of the shipping database."""

from sagakit.postgres.migrations import run
from shipping_service.store import METADATA

run(METADATA)

"""Alembic's entry: the inventory service's own history, in its own database."""

from inventory_service.store import METADATA
from sagakit.postgres.migrations import run

run(METADATA)

"""Alembic's entry: the order service's own history, in its own database."""

from order_service.store import METADATA
from sagakit.postgres.migrations import run

run(METADATA)

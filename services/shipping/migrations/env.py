"""Alembic's entry: the shipping service's own history, in its own database."""

from sagakit.postgres.migrations import run
from shipping_service.store import METADATA

run(METADATA)

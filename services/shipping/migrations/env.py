"""Alembic's entry: the shipping service's own history, in its own database."""

from shipping_service.store import METADATA

from sagakit.migrations import run

run(METADATA)

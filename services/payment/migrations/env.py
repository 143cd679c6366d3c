"""Alembic's entry point: the migrations of the payment database."""

from payment_service.store import METADATA
from sagakit.postgres.migrations import run

run(METADATA)

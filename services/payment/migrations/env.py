"""Alembic's entry: the payment service's own history, in its own database."""

from payment_service.store import METADATA
from sagakit.postgres.migrations import run

run(METADATA)

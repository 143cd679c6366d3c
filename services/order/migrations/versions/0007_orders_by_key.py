"""A look-up by customer and Idempotency-Key of an index that serves nothing else."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make one index of both columns, and drop the constraint that it replaces."""
    op.execute("CREATE UNIQUE INDEX orders_by_key ON orders (md5(customer || chr(10) || idempotency_key))")
    op.execute("ALTER TABLE orders DROP CONSTRAINT orders_customer_idempotency_key_key")

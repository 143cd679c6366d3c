"""Half of each new page stays free for the updates of its rows: see ROOM in `sagakit.postgres.tables`."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Set the fill factor of the table; pages that are full already stay as they are."""
    op.execute("ALTER TABLE orders SET (fillfactor = 50)")

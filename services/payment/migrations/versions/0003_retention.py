"""Final rows, which are left when an order is pruned: see the SQL file of the same name."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the statements of the SQL file."""
    for statement in filter(str.strip, Path(__file__).with_suffix(".sql").read_text().split(";\n")):
        op.execute(statement)

"""The messages of a commit as one row of the outbox: see the SQL file of the same name."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the statements of the SQL file."""
    for statement in filter(str.strip, Path(__file__).with_suffix(".sql").read_text().split(";\n")):
        op.execute(statement)

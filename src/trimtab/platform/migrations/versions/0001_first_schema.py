"""The first schema, as plain SQL beside this file: a migration says for ever what it did.

The files were written from the tables in the source by `scripts/write_first_schema.py`;
they are text so that indexes over expressions and the ledger's triggers are exactly what
each database was told.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the statements for this kind of database."""
    dialect = op.get_context().dialect.name
    text = Path(__file__).with_name(f"0001_{dialect}.sql").read_text("utf-8")
    connection = op.get_bind()
    for statement in text.split("\n;\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)

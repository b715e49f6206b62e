"""Write the first schema as SQL, from the tables in the source.

    .venv/bin/python scripts/write_first_schema.py

Until the first release this may be run again whenever a table changes; after it, a change
is a migration of its own.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

import trimtab.app  # noqa: F401 - every table is known once the house is joined
from trimtab.audit.tables import triggers
from trimtab.platform import migrate
from trimtab.platform.database import metadata

SEPARATOR = "\n;\n"


def schema(dialect: sa.Dialect) -> str:
    """Every statement that the first schema consists of, in order."""
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            statements.append(str(CreateIndex(index).compile(dialect=dialect)).strip())
        if dialect.name == "postgresql":
            statements += [
                f"ALTER TABLE {table.name} ALTER COLUMN {column.name} SET STORAGE {storage}"
                for column in table.columns
                if (storage := column.info.get("postgresql_storage"))
            ]
    statements.append("INSERT INTO ledger_size (tenant, size) VALUES ('*', 0)")
    statements += triggers(dialect.name)
    lines = [line.rstrip() for line in SEPARATOR.join(statements).splitlines()]
    return "\n".join(lines) + SEPARATOR


DIALECTS: tuple[sa.Dialect, ...] = (
    sqlite.dialect(),
    postgresql.dialect(),  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
)

for known in DIALECTS:
    path = migrate.FOLDER / "versions" / f"0001_{known.name}.sql"
    path.write_text(schema(known), "utf-8")
    print(path.name)  # noqa: T201

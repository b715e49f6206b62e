"""The ledger's tables, and the triggers that refuse to change what was written."""

from __future__ import annotations

import sqlalchemy as sa

from trimtab.platform.database import Kind, Moment, plain_table

SIZE = plain_table(
    "ledger_size",
    Kind.LEDGER,
    sa.Column("tenant", sa.String(80), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
)
"""How many entries there are: one row for the whole (`*`), one for the fleet (empty), one
for each tenant. The row `*` is the ledger's lock, and the last one a transaction takes."""

WHOLE = "*"
FLEET = ""

ENTRIES = plain_table(
    "ledger_entries",
    Kind.LEDGER,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("tenant_sequence", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(80), nullable=False),
    sa.Column("actor", sa.String(80), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("header", sa.LargeBinary, nullable=False),
    sa.Column("leaf", sa.LargeBinary(32), nullable=False),
    sa.Index("uq_ledger_entries_tenant", "tenant", "tenant_sequence", unique=True),
    sa.Index("ix_ledger_entries_kind", "kind", "sequence"),
)
"""`header` is the leaf of the tree, byte for byte; the other columns repeat it for queries."""

PAYLOADS = plain_table(
    "ledger_payloads",
    Kind.LEDGER,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("salt", sa.LargeBinary(16)),
    sa.Column("body", sa.LargeBinary),
)
"""The bytes that were hashed. Retention may blank a row; the header stays."""

MENTIONS = plain_table(
    "ledger_mentions",
    Kind.LEDGER,
    sa.Column("ref", sa.String(200), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
)
"""Which entries speak of which id: how timelines are read off the ledger."""

NODES = plain_table(
    "ledger_nodes",
    Kind.LEDGER,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
)
"""Roots of complete subtrees of 256 ** level leaves, so that a proof reads few rows."""

HEADS = plain_table(
    "ledger_heads",
    Kind.LEDGER,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
)

CURSORS = plain_table(
    "cursors",
    Kind.CURSOR,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)

FROZEN = (ENTRIES, MENTIONS, NODES, HEADS)


def triggers(dialect: str) -> list[str]:
    """The statements that make history unchangeable from SQL, for `sqlite` or `postgresql`."""
    return _sqlite_triggers() if dialect == "sqlite" else _postgresql_triggers()


def _sqlite_triggers() -> list[str]:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    statements = [
        f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name} {refuse}"
        for table in FROZEN
        for verb in ("UPDATE", "DELETE")
    ]
    statements.append(
        f"CREATE TRIGGER ledger_payloads_no_delete BEFORE DELETE ON ledger_payloads {refuse}"
    )
    statements.append(
        "CREATE TRIGGER ledger_payloads_only_blank BEFORE UPDATE ON ledger_payloads "
        "WHEN NEW.body IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.sequence <> OLD.sequence "
        + refuse
    )
    statements.append(
        "CREATE TRIGGER ledger_size_only_grows BEFORE UPDATE ON ledger_size "
        f"WHEN NEW.size < OLD.size {refuse}"
    )
    statements.append(f"CREATE TRIGGER ledger_size_no_delete BEFORE DELETE ON ledger_size {refuse}")
    return statements


def _postgresql_triggers() -> list[str]:
    statements = [
        "CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only' "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    ]
    execute = "EXECUTE FUNCTION ledger_refuse()"
    statements += [
        f"CREATE TRIGGER {table.name}_frozen BEFORE UPDATE OR DELETE ON {table.name} "
        f"FOR EACH ROW {execute}"
        for table in FROZEN
    ]
    statements += [
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} {execute}"
        for table in (*(t.name for t in FROZEN), "ledger_payloads", "ledger_size")
    ]
    statements += [
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {execute}"
        for table in ("ledger_payloads", "ledger_size")
    ]
    statements.append(
        "CREATE TRIGGER ledger_payloads_only_blank BEFORE UPDATE ON ledger_payloads FOR EACH ROW "
        "WHEN (NEW.body IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.sequence <> OLD.sequence) "
        + execute
    )
    statements.append(
        "CREATE TRIGGER ledger_size_only_grows BEFORE UPDATE ON ledger_size FOR EACH ROW "
        f"WHEN (NEW.size < OLD.size) {execute}"
    )
    return statements


@sa.event.listens_for(ENTRIES.metadata, "after_create")
def _install_triggers(_metadata: sa.MetaData, connection: sa.Connection, **_: object) -> None:
    for statement in triggers(connection.dialect.name):
        connection.exec_driver_sql(statement)

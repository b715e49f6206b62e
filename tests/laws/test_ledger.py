"""What is written without an event is on one list; all else demands one by its type."""

from __future__ import annotations

import ast
from pathlib import Path

import sqlalchemy as sa

import trimtab.app  # noqa: F401 - every table is known once the house is joined
from trimtab.platform.database import Kind, metadata

SOURCE = Path(__file__).parents[2] / "src" / "trimtab"

EXEMPT = {
    "prediction_batches": "facts, acknowledged to the gateway that measured them",
    "label_batches": "facts, acknowledged to the feed that knows them",
    "late_rows": "how many came late; a window that is judged again has an entry",
    "inbox_messages": "the message of an action that has an entry of its own",
    "incident_signals": "which signals were seen already; each incident has its entries",
    "routing_tables": "follow from deployments, each of which has its own entry",
    "gateways": "what gateways say of themselves; the newest counts",
    "cursors": "how far a reader has come; nothing was decided",
    "sessions": "who is logged in; the log-in has an entry",
}
"""Tables that are written without an event, and why."""

WRITES_ITSELF = {
    "audit/work.py": "the unit of work: the one place where decisions are written",
    "audit/ledger.py": "the ledger",
    "audit/heads.py": "signed heads of the ledger",
    "audit/reactions.py": "cursors",
    "identity/service.py": "ends a session, through the unit of work",
    "observations/store.py": "batches, through the unit of work",
    "monitoring/late_store.py": "counts of what came late, through the unit of work",
    "registry/routing.py": "reports of gateways, through the unit of work",
    "platform/migrate.py": "the schema",
    "platform/durable_dbos_store.py": "the engine's own rows",
    "platform/durable_lease.py": "the engine's own lease",
}
"""Files that build INSERT, UPDATE or DELETE."""


def ours() -> list[sa.Table]:
    return [t for t in metadata.sorted_tables if not t.name.startswith("test_")]


def test_the_tables_that_need_no_event_are_these() -> None:
    free = {t.name for t in ours() if t.info["kind"] not in (Kind.DECISION, Kind.LEDGER)}
    assert free == set(EXEMPT)


def test_every_table_of_decisions_has_revisions() -> None:
    for table in ours():
        assert ("revision" in table.c) == (table.info["kind"] is Kind.DECISION), table.name


def test_nobody_else_builds_statements_that_write() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            verb, owner = node.func.attr, ast.unparse(node.func.value)
            of_table = owner.split(".")[-1].isupper() or owner in {"table", "sa", "postgresql"}
            if verb in {"insert", "update", "delete"} and of_table:
                found.add(path.relative_to(SOURCE).as_posix())
    assert found <= set(WRITES_ITSELF)

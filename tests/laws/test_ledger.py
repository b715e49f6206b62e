"""What is written without an event is on one list; all else demands one by its type."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest
from tests.laws.names import meaning_of, meanings
from tests.tables import tables_of_records

import trimtab.app  # noqa: F401 - every table is known once the house is joined
from trimtab.platform.database import Kind

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
    "kept_answers": "what was answered, for whoever asks the same again; the effect has its entry",
    "executors": "which processes are alive, by the time of the database",
    "log_in_places": "where somebody has logged in before; each log-in has an entry",
    "key_uses": "when a key was last used; nothing was decided",
    "sync_states": "when a registry is read next; each cycle has its entries",
    "inventory_sightings": "what a scan last showed; each change of a record has its entry",
    "inventory_revisions": "what a record said and when; each has the entry that it was made by",
    "lineage_edges": "follow from records, each revision of which has its entry",
    "request_nonces": "signed requests that were taken once; what they changed has entries",
}
"""Tables that are written without an event, and why."""

WRITES_ITSELF = {
    "audit/work.py": "the unit of work: the one place where decisions are written",
    "audit/ledger.py": "the ledger",
    "audit/heads.py": "signed heads of the ledger",
    "audit/answers.py": "forgets old answers, through the unit of work",
    "platform/executors.py": "leases of processes, outside any unit of work",
    "identity/credential_store.py": "sessions, uses, nonces, through the unit of work",
    "monitoring/late_store.py": "counts of what came late, through the unit of work",
    "inventory/connection_store.py": "when registries are due, through the unit of work",
    "inventory/sighting_store.py": "what scans showed, through the unit of work",
    "inventory/store.py": "the end of a revision, with the next one, through the unit of work",
    "inventory/lineage_store.py": "the end of an edge, with its record, through the unit of work",
    "registry/routing.py": "reports of gateways, through the unit of work",
    "observations/store.py": "when a batch was received, through the unit of work",
}
"""Files that build INSERT, UPDATE or DELETE."""


def test_the_tables_that_need_no_event_are_these() -> None:
    free = {
        t.name for t in tables_of_records() if t.info["kind"] not in (Kind.DECISION, Kind.LEDGER)
    }
    assert free == set(EXEMPT)


def test_every_table_of_decisions_has_revisions() -> None:
    for table in tables_of_records():
        assert ("revision" in table.c) == (table.info["kind"] is Kind.DECISION), table.name


VERBS = {"insert", "update", "delete"}
SAID = re.compile(
    r"\b(INSERT\s+(OR\s+\w+\s+)?INTO|REPLACE\s+INTO|MERGE\s+INTO|DELETE\s+FROM"
    r"|UPDATE\s+\S+\s+SET|TRUNCATE\s+(TABLE\s+)?\w|(DROP|ALTER)\s+TABLE)\b"
    r"|^\s*(?-i:INSERT|UPDATE|DELETE|REPLACE|MERGE|TRUNCATE)\s",
    re.IGNORECASE,
)
"""Text that is a statement that writes, or the beginning of one."""


def writes(tree: ast.Module) -> list[int]:
    """Lines that build a statement that writes: by a table, by SQLAlchemy, or as text."""
    known = meanings(tree)
    said = {id(d) for d in _docstrings(tree)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_built(node, known):
            found.append(node.lineno)
        elif (isinstance(node, ast.JoinedStr) or id(node) not in said) and SAID.search(_text(node)):
            found.append(getattr(node, "lineno", 0))
    return found


def _is_built(call: ast.Call, known: dict[str, str]) -> bool:
    meaning = meaning_of(call.func, known) or ""
    if meaning.startswith("sqlalchemy.") and meaning.split(".")[-1] in VERBS:
        return True
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in VERBS:
        return False
    owner = ast.unparse(call.func.value).split(".")[-1]
    # A table's verbs take nothing; those of a set, a list or a hash take what they add.
    return owner.isupper() or owner == "table" or not (call.args or call.keywords)


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(str() as text):
            return text
        case ast.JoinedStr(parts):
            return "".join(_text(part) if isinstance(part, ast.Constant) else "x" for part in parts)
        case _:
            return ""


def _docstrings(tree: ast.Module) -> list[ast.expr]:
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]


def test_nobody_else_builds_statements_that_write() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): lines
        for path in SOURCE.rglob("*.py")
        if (lines := writes(ast.parse(path.read_text("utf-8"))))
    }
    assert {name: lines for name, lines in found.items() if name not in WRITES_ITSELF} == {}
    assert set(WRITES_ITSELF) <= set(found), "nothing is written there any more"


@pytest.mark.parametrize(
    "planted",
    [
        "work.connection.execute(MODELS.update().values(tier=4))",
        "mine = MODELS\nconnection.execute(mine.update().values(tier=4))",
        "def f(rows):\n    return rows.delete().where(rows.c.id == 1)",
        "import sqlalchemy as sa\nsa.update(thing).values(tier=4)",
        "from sqlalchemy import delete as gone\ngone(thing)",
        "from sqlalchemy.dialects.sqlite import insert\ninsert(thing)",
        "import sqlalchemy as sa\nconnection.execute(sa.text('UPDATE models SET tier = 4'))",
        "connection.exec_driver_sql('delete from models')",
        "connection.execute(text(f'INSERT OR IGNORE INTO {name} VALUES (1)'))",
        "connection.execute(text('UPDATE ' + name + ' SET tier = 4'))",
    ],
)
def test_a_statement_that_writes_is_seen(planted: str) -> None:
    assert writes(ast.parse(planted))


def test_what_only_reads_or_adds_to_a_set_is_none() -> None:
    source = """
        seen.update(rows); hashed.update(data); names.insert(0, name)
        text("SELECT * FROM models WHERE updated = 1"); says("update the model and set it up")
    """
    assert writes(ast.parse(textwrap.dedent(source))) == []

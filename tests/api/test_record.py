"""A story over HTTP: each revision of each row has exactly one entry, and the record is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.databases import opened_at
from tests.tables import tables_of_records

import trimtab.app  # noqa: F401 - every table is known once the house is joined
from trimtab.audit.tables import ENTRIES, MENTIONS
from trimtab.platform.database import Database, Kind
from trimtab.sdk import shapes
from trimtab.sdk.ledger import verify_export

CHANGES_NO_ROW = {
    "access.refused": "nobody known asked, and got nothing",
    "artifact.downloaded": "bytes left",
    "drift.checked": "somebody asked whether a table has moved",
    "incident.commented": "a word of somebody",
    "incident.severity_raised": "said beside the entry that changed the row",
    "person.logged_in": "somebody came",
    "request.refused": "somebody was refused, and changed nothing",
    "remediation.planned": "each step that is taken has entries of its own",
}
"""Kinds that stand in the ledger by themselves."""


@pytest.fixture(scope="module")
def told(house: Any) -> Any:
    """A house in which a good deal has happened."""
    approved = house.approved(house.new_model())
    second = house.registered(approved["model"], "1.1.0")
    rejected = house.registered(house.new_model())
    house.settle()
    for version, yes in ((second, True), (rejected, False)):
        waiting = next(
            a for a in house.admin.approvals.list() if a.target.version_id == version["id"]
        )
        house.people[waiting.steps[0].role].approvals.vote(
            waiting.id, approve=yes, digest=version["digest"], reason="a story"
        )
    on_call = house.people["on_call"]
    for rollout in on_call.rollouts.list():
        if rollout.phase == "running":
            for _ in range(2):  # the same again changes nothing, and says nothing
                on_call.rollouts.hold(rollout.id, reason="a story")
    house.people["data_scientist"].models.download(approved["model"], "1.0.0")
    issued = house.admin.identity.add_account(shapes.NewAccount(name="short", roles=["feed"]))
    with house.http("admin") as client:
        for _ in range(2):
            client.delete(f"/api/v1/keys/{issued.key_id}")
    house.settle()
    return house


@pytest.fixture
def database(told: Any) -> Iterator[Database]:
    """The records, read beside the process that writes them."""
    opened = Database(opened_at(told.control.home))
    yield opened
    opened.close()


@pytest.mark.slow
def test_each_revision_of_each_row_has_exactly_one_entry(database: Database) -> None:
    with database.read() as connection:
        total: sa.ColumnElement[int] = sa.func.coalesce(sa.func.sum(sa.column("revision")), 0)
        revisions = {
            table.name: connection.execute(sa.select(total).select_from(table)).scalar_one()
            for table in tables_of_records(Kind.DECISION)
        }
        kinds = Counter(connection.execute(sa.select(ENTRIES.c.kind)).scalars())
    assert sum(n > 0 for n in revisions.values()) > 8, revisions
    entries = sum(count for kind, count in kinds.items() if kind not in CHANGES_NO_ROW)
    assert sum(revisions.values()) == entries, (revisions, kinds)


@pytest.mark.slow
def test_no_row_is_there_of_which_no_entry_speaks(database: Database) -> None:
    with database.read() as connection:
        mentioned = set(connection.execute(sa.select(MENTIONS.c.ref)).scalars())
        for table in tables_of_records(Kind.DECISION):
            ids = set(connection.execute(sa.select(table.c.id)).scalars())
            assert ids <= mentioned, (table.name, ids - mentioned)


@pytest.mark.slow
def test_the_record_is_whole_here_and_elsewhere(told: Any, tmp_path: Path) -> None:
    auditor = told.people["auditor"]
    found = auditor.audit.verify()
    assert found.ok, found.findings
    head = auditor.audit.head()
    with told.http("auditor") as client:
        content = client.get("/api/v1/audit/export").content
    path = tmp_path / "export.jsonl"
    path.write_bytes(content)
    report = verify_export(path, pinned_key=head.verifier_key, pinned_origin=None)
    assert report.ok, report.findings
    assert report.entries >= found.entries
    path.write_bytes(content.replace(b"a story", b"a fairy", 1))
    assert not verify_export(path, pinned_key=head.verifier_key, pinned_origin=None).ok


def test_metrics_name_addresses_by_their_templates(told: Any) -> None:
    text = httpx.get(told.url + "/metrics").text
    assert 'route="/api/v1/models/{model}/versions"' in text or "{model}/versions" in text
    assert "flights-0" not in text

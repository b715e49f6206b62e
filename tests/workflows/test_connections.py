"""Whose connections are whose, which secrets they may name, and where secrets never turn up."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.mlflow_server.simulator import Reply, Request, Simulator
from tests.tables import tables_of_records
from tests.workflows.registry import FLEET, Plane, Registry, of_tenant, opened

from trimtab.identity import service as identity
from trimtab.inventory.model import Auth, Connection, Scope
from trimtab.inventory.store import Filter
from trimtab.kernel.errors import Conflict, InvalidInput, NotFound, NotPermitted
from trimtab.kernel.ids import TenantId
from trimtab.workflows import connections, exports, inventoried, lineage, reading
from trimtab.workflows.connections import Asked
from trimtab.workflows.exports import Format
from trimtab.workflows.ingest import Ingest
from trimtab.workflows.registries import open_registry

ACME, OTHER = of_tenant("acme"), of_tenant("other")
TOKEN = "canary-token-8d1f6a2e9b7c4053"
TAGGED = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def plane(home: Path) -> Iterator[Plane]:
    with opened(home, TRIMTAB_CONNECT_NETWORKS="127.0.0.0/8, acme=127.0.0.0/8") as plane:
        with plane.parts.records.begin(FLEET, reason="tenants") as work:
            for name in ("acme", "other"):
                identity.create_tenant(work, name, name.title())
        yield plane


def asked(name: str, tenant: str | None = None, **more: Any) -> Asked:
    of = None if tenant is None else TenantId(tenant)
    return Asked("mlflow", f"https://{name}.example", tenant=of, name=name, **more)


def connect(plane: Plane, actor: Any, wanted: Asked) -> Connection:
    return connections.connect(plane.parts, actor, wanted, reason="a test")


@pytest.fixture
def of_acme(plane: Plane) -> Connection:
    """A tenant's own connection, read once; and one of the fleet with the same versions."""
    made = connect(plane, ACME, asked("own", "acme"))
    registry = Registry()
    registry.put("churn", 1, stage="Production")
    plane.cycle(registry, connection=made)
    plane.cycle(registry)
    return made


def test_a_tenant_sees_its_own_and_the_fleet_all(plane: Plane, of_acme: Connection) -> None:
    with plane.parts.records.look() as look:
        seen = {
            name: [v.connection.name for v in inventoried.connections(look, plane.parts, actor)]
            for name, actor in (("acme", ACME), ("other", OTHER), ("fleet", FLEET))
        }
        listed = {
            name: [e.tenant for e in inventoried.inventory(look, actor, Filter())]
            for name, actor in (("acme", ACME), ("other", OTHER), ("fleet", FLEET))
        }
    assert seen == {"acme": ["own"], "other": [], "fleet": ["registry", "own"]}
    assert listed["acme"] == ["acme"]
    assert listed["other"] == []
    assert sorted(map(str, listed["fleet"])) == ["None", "acme"]
    for form in Format:
        assert b"churn" not in b"".join(exports.inventory(plane.parts, OTHER, Filter(), form))


def test_what_is_another_tenants_is_not_there(plane: Plane, of_acme: Connection) -> None:
    record = next(e for e in [*plane.records(tenant="acme").values()])
    with plane.parts.records.look() as look:
        for call in (
            lambda: inventoried.connection(look, plane.parts, OTHER, of_acme.id),
            lambda: inventoried.syncs(look, OTHER, of_acme.id),
            lambda: inventoried.record(look, OTHER, record.id),
            lambda: inventoried.history(look, OTHER, record.id),
            lambda: lineage.of_record(look, OTHER, record.id),
            lambda: inventoried.connection(look, plane.parts, ACME, plane.connection.id),
        ):
            with pytest.raises(NotFound):
                call()
        assert inventoried.record(look, ACME, record.id).entry.id == record.id
        assert inventoried.tally(look, OTHER, Filter()).versions == 0
    with pytest.raises(NotFound):
        connections.pause(plane.parts, OTHER, of_acme.id, True, reason="a test")
    with plane.parts.records.begin(OTHER, reason="a test") as work, pytest.raises(NotFound):
        connections.ask(work, OTHER, of_acme.id, Scope.FULL, reason="a test")


def test_what_a_tenant_may_connect(plane: Plane) -> None:
    with pytest.raises(NotPermitted):
        connect(plane, ACME, asked("fleet"))
    with pytest.raises(NotPermitted):
        connect(plane, ACME, asked("others", "other"))
    with pytest.raises(NotPermitted) as refused:
        connect(plane, ACME, asked("near", "acme", networks=("10.0.0.0/8",)))
    assert refused.value.field == "networks"
    made = connect(plane, FLEET, asked("near", "acme", networks=("10.0.0.0/8",)))
    assert made.networks == ("10.0.0.0/8",)
    with pytest.raises(Conflict):
        connect(plane, FLEET, asked("near", "acme"))
    connect(plane, OTHER, asked("near", "other"))
    with pytest.raises(InvalidInput):
        connect(plane, FLEET, asked("bad", networks=("no network",)))


REFERENCES = (
    "env:MLFLOW_TRACKING_TOKEN",
    "env:JWT_SECRET",
    "env:DATABASE_URL",
    "file:../fleet/token",
    "file:/etc/passwd",
    "file:..",
    "file:",
    TOKEN,
    "",
)


@pytest.mark.parametrize("reference", REFERENCES)
def test_what_a_tenant_may_not_refer_to(plane: Plane, reference: str) -> None:
    auth = Auth("bearer", {"token": reference})
    with pytest.raises(InvalidInput) as refused:
        connect(plane, ACME, asked("own", "acme", auth=auth))
    assert TOKEN not in f"{refused.value.message} {refused.value.remedy}"
    with pytest.raises(InvalidInput):
        connect(plane, ACME, asked("own", "acme", webhook=reference or "x"))


def test_a_name_of_the_fleets_is_another_secret_for_a_tenant(plane: Plane, home: Path) -> None:
    put_secret(home, "fleet", "token")
    auth = Auth("bearer", {"token": "file:token"})
    for tenant, told in ((None, "failed"), ("acme", "cannot be read")):
        made = connect(plane, FLEET, asked("secret", tenant, auth=auth))
        if tenant is None:
            open_registry(plane.parts, made).close()
            continue
        sync = Ingest(plane.parts).cycle(made.id, lambda c: open_registry(plane.parts, c))
        assert told in sync.reason
        assert "auth.secrets.token" in sync.reason


def put_secret(home: Path, *where: str) -> None:
    path = home.joinpath("secrets", "connections", *where)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(TOKEN + "\n")


def rows_of(plane: Plane) -> str:
    """Every row of every table, as text."""
    with plane.parts.records.database.read() as connection:
        return "\n".join(
            repr([dict(row) for row in connection.execute(sa.select(table)).mappings()])
            for table in tables_of_records()
        )


def echoes(request: Request) -> Reply:
    """As a server whose errors tell what it was sent; after some of them it is asked again, and
    waited for."""
    status = 500 if "registered-models" in request.path else 400
    sent = request.headers.get("Authorization", "") or request.headers.get("authorization", "")
    return Reply({"error_code": "INTERNAL_ERROR", "message": f"you sent {sent}"}, status)


def login(request: Request) -> Reply:
    sent = request.headers.get("Authorization", "") or request.headers.get("authorization", "")
    return Reply(f"<html>you sent {sent}</html>".encode(), 200, {"Content-Type": "text/html"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        "",
        "GET /version",
        "GET /api/2.0/mlflow/registered-models/search",
        "GET /api/2.0/mlflow/model-versions/search",
        "POST /api/2.0/mlflow/runs/search",
        "GET /api/2.0/mlflow/runs/get",
    ],
)
@pytest.mark.parametrize("answer", [echoes, login])
def test_a_secret_turns_up_nowhere(
    plane: Plane,
    home: Path,
    where: str,
    answer: Any,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_secret(home, "tenants", "acme", "token")
    caplog.set_level(logging.DEBUG)
    with contextlib.ExitStack() as kept:
        server = kept.enter_context(Simulator(seed=1))
        if where:
            server.answers[where] = answer
        wanted = Asked(
            "mlflow",
            server.url,
            tenant=TenantId("acme"),
            name="echo",
            auth=Auth("bearer", {"token": "file:token"}),
        )
        made = connect(plane, ACME, wanted)
        told: list[Any] = []
        ingest = Ingest(plane.parts, progress=told.append)
        sync = ingest.cycle(made.id, lambda c: open_registry(plane.parts, c))
        reading.inspect(plane.parts, made.id)
        sent = [dict(request.headers) for request in server.requests]
    assert any(TOKEN in str(headers) for headers in sent), "it was shown to the registry itself"
    entries = json.dumps([entry.data for entry in plane.entries()], default=str)
    exported = b"".join(exports.inventory(plane.parts, FLEET, Filter(), Format.JSON)).decode()
    printed = capsys.readouterr()
    everything = [rows_of(plane), entries, exported, repr(told), repr(sync), repr(made)]
    everything += [printed.out, printed.err, caplog.text]
    for text in everything:
        assert TOKEN not in text


def test_what_looks_like_a_secret_in_a_tag_is_not_kept(plane: Plane) -> None:
    registry = Registry()
    tags = [{"key": "aws_key", "value": TAGGED}, {"key": "password", "value": "hunter2-hunter2"}]
    registry.put("churn", 1, tags=tags, source=f"s3://mira:{TAGGED}@bucket/x?sig={TAGGED}")
    plane.cycle(registry)
    rows = rows_of(plane)
    assert TAGGED not in rows
    assert "hunter2" not in rows
    codes = {one.code for one in plane.records()["churn", 1].record.findings}
    assert "secret_withheld" in codes

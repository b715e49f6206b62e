"""Registries as they were read: connections, cycles, and records that moved, put on record by the
room itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.workflows.records import full, record

from trimtab.identity.roles import PERMISSIONS
from trimtab.inventory import connection_store, lineage_store, service, store
from trimtab.inventory.model import (
    Connection,
    Counts,
    Failure,
    Health,
    Scope,
    Sync,
    SyncPhase,
    SyncStarted,
)
from trimtab.inventory.record import Finding, Known, Origin, Record
from trimtab.inventory.service import Seen
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.ids import TenantId, new_id
from trimtab.workflows.connections import Asked, connect
from trimtab.workflows.judging import Judge

ODD = "=cmd|'/C calc'!A0<script>alert(1)</script>{{7*7}}\u202egnp.exe\n模型"
OWN = Origin.MODEL_VERSION


@dataclass(frozen=True)
class Stock:
    """What there is, by id."""

    risk: str
    ads: str
    records: dict[str, str]


def stock(world: Any) -> Stock:
    """Two registries: one that is well, with versions of every kind, and one that fails."""
    judge = Judge(world.parts)
    risk = connected(world, "risk-mlflow", "https://mlflow.risk.example")
    ads = connected(world, "ads-mlflow", "https://mlflow.ads.example", tenant="acme")
    begin = cycle(world, risk)
    found: dict[str, str] = {}
    for name, each in records().items():
        found[name] = keep(world, judge, risk, each)
    found["foreign"] = keep(world, judge, ads, record("click-rate", 1, owner=said("ads", "owner")))
    late = Failure("forecast", 2, "the run could not be read: it took longer than 10 s")
    done(world, begin, SyncPhase.PARTIAL, Counts(5, 6, 6, incomplete=1), (late,))
    world.step(days=2)
    later = cycle(world, risk)
    keep(world, judge, risk, placed(full(), "staging", ["blue"]))
    inspect(world, judge, found["full"], "suspicious")
    world.step(days=3)
    keep(world, judge, risk, full())
    inspect(world, judge, found["malicious"], "malicious")
    gone(world, found["old"])
    done(world, later, SyncPhase.SUCCEEDED, Counts(5, 5, changed=2, removed=1))
    failing(world, ads)
    world.step(hours=1)
    return Stock(risk.id, ads.id, found)


def records() -> dict[str, Record]:
    """A version of each kind."""
    return {
        "full": placed(full(), "development", []),
        "bare": record("churn", 3),
        "assumed": record(
            "churn", 4, findings=(Finding("owner_assumed", "no tag names an owner"),),
            owner=Known("anna", Origin.RUN, "info.user_id", claim=True),
            lifecycle_stage=Known("staging", OWN, "current_stage", coerced_from="Staging"),
        ),
        "incomplete": record(
            "forecast", 2, incomplete="the run could not be read: it took longer than 10 s"
        ),
        "malicious": dataclasses.replace(placed(full(), "production", ["champion"]),
                                         model="fraud-pickle", version=1),
        "old": record("retired-model", 1, owner=said("anna", "owner")),
        "odd": record(ODD, 1, owner=said(ODD, "owner"), business_purpose=said("x" * 900, "use")),
    }  # fmt: skip


def said(value: str, key: str) -> Known:
    return Known(value, OWN, f"tags.{key}", claim=True)


def placed(of: Record, stage: str, aliases: list[str]) -> Record:
    """The same, standing elsewhere."""
    fields = {
        **of.fields,
        "lifecycle_stage": Known(stage, OWN, "current_stage"),
        "aliases": Known(aliases, Origin.REGISTERED_MODEL, "aliases"),
    }
    return dataclasses.replace(of, fields=fields)


def somebody(world: Any, tenant: str | None = None) -> Actor:
    whose = None if tenant is None else TenantId(tenant)
    return dataclasses.replace(system("test"), tenant=whose, permissions=PERMISSIONS)


def connected(world: Any, name: str, url: str, tenant: str | None = None) -> Connection:
    whose = None if tenant is None else TenantId(tenant)
    asked = Asked("mlflow", url, tenant=whose, name=name)
    return connect(world.parts, somebody(world, tenant), asked, reason="we want to see it")


def keep(world: Any, judge: Judge, connection: Connection, what: Record) -> str:
    with world.parts.records.begin(system("ingest"), reason="what the registry shows") as work:
        key = store.key_of(what.model, what.version)
        head = store.heads(work, connection.id, [key]).get(key)
        before = None if head is None else store.at(work, head.id)
        judge.adopt(work)
        judged = judge.judged(what, judge.held(work, connection.id), work.now)
        inspection = None if before is None else before.inspection
        seen = Seen(key, what, judged, inspection, before, work.now - timedelta(hours=1))
        record_id, _outcome = service.keep(work, connection, head, seen)
        lineage_store.put(work, connection, record_id, what)
        return record_id


def inspect(world: Any, judge: Judge, record_id: str, result: str) -> None:
    with world.parts.records.begin(system("inspection"), reason="files were new") as work:
        entry = store.at(work, record_id)
        assert entry is not None
        judged = judge.judged(entry.record, judge.held(work, entry.connection), work.now)
        service.inspected(
            work, entry, entry.record, result, ["a global"], {"network": "none"}, judged
        )


def gone(world: Any, record_id: str) -> None:
    with world.parts.records.begin(system("ingest"), reason="it is there no more") as work:
        entry = store.at(work, record_id)
        assert entry is not None
        service.remove(work, entry)


def cycle(world: Any, connection: Connection) -> Sync:
    with world.parts.records.begin(system("ingest"), reason="it was due") as work:
        known = connection_store.get(work, connection.id)
        warnings = ("These credentials can change the registry; give Trimtab ones that can only "
                    "read.",)  # fmt: skip
        probed = known.known_as("MLflow 3.17", "svc-trimtab", True, warnings)
        if probed is not None:
            connection_store.save(work, *probed)
        sync = Sync(
            new_id("syn"), known.id, known.tenant, Scope.FULL, None, SyncPhase.RUNNING, known.url,
            "svc-trimtab", work.now, None, Counts(), (), "",
        )  # fmt: skip
        event = SyncStarted(
            sync.id, sync.tenant, known.id, sync.scope, None, known.url, "svc-trimtab"
        )
        return connection_store.add_sync(work, sync, event)


def done(
    world: Any, sync: Sync, phase: SyncPhase, counts: Counts, failures: tuple[Failure, ...] = ()
) -> None:
    with world.parts.records.begin(system("ingest"), reason="it was due") as work:
        ended = sync.end(phase, work.now, counts, failures, "")
        connection_store.save_sync(work, *ended)
        connection = connection_store.get(work, sync.connection)
        felt = connection.felt(Health.HEALTHY, "everything was read")
        if felt is not None:
            connection_store.save(work, *felt)
        due = work.now + timedelta(minutes=15)
        connection_store.move_state(work, sync.connection, seen_at=work.now, due_at=due)


def failing(world: Any, connection: Connection) -> None:
    with world.parts.records.begin(system("ingest"), reason="it was due") as work:
        known = connection_store.get(work, connection.id)
        felt = known.felt(
            Health.FAILING, "mlflow.ads.example does not answer: timed out after 10 s"
        )
        assert felt is not None
        connection_store.save(work, *felt)

"""A full house: a thousand models, a hundred tenants, through the same stores as everybody."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trimtab.audit import ledger
from trimtab.audit.tables import CURSORS, SIZE, WHOLE
from trimtab.audit.work import Records, Work
from trimtab.identity import service as identity
from trimtab.identity.model import Person
from trimtab.identity.passwords import hash_password
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SystemClock
from trimtab.kernel.ids import Digest, ModelId, PermitId, TenantId, VersionId, new_id
from trimtab.platform import migrate
from trimtab.platform.database import Database, metadata
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployed, Deployment, begun
from trimtab.registry.model import (
    Feature,
    Lifecycle,
    Model,
    ModelRegistered,
    TrainingTrigger,
    Version,
    VersionRegistered,
)
from trimtab.workflows.parts import ENVIRONMENT

SEEDER = system("benchmark")
FEATURES = tuple(Feature(f"feature_{number}", "numeric") for number in range(20))
PER_TRANSACTION = 50
SIGNATURE = secrets.token_hex(2_000)
"""As long as a real signature bundle; nobody verifies it here."""
REACTIONS = ("intake.check", "intake.ask", "intake.decide", "release.start", "release.next")
"""Seeded history is nothing to react to."""


@dataclass(frozen=True)
class House:
    """What was put into a home folder."""

    models: tuple[str, ...]
    keys: tuple[str, ...]
    """One key text for each tenant."""
    gateway: str
    """The key text of a gateway."""


@contextmanager
def empty(url: str) -> Iterator[Database]:
    """A new database with every table that has been imported."""
    database = Database(url)
    metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})
    yield database
    database.close()


def furnish(
    home: Path, *, models: int, tenants: int, dedicated: int, url: str | None = None
) -> House:
    """Fill `home`, or the empty database at `url`: every model has a global stable version, and
    every `dedicated`-th (model, tenant) a stable version of its own."""
    home.mkdir(parents=True, exist_ok=True)
    database = Database(url or f"sqlite:///{home / 'trimtab.sqlite'}")
    migrate.upgrade(database)
    records = Records(database, SystemClock())
    names = tuple(f"model-{number:04}" for number in range(models))
    slugs = [TenantId(f"tenant-{number:03}") for number in range(tenants)]
    with records.begin(SEEDER, reason="benchmark") as work:
        owner = _owner(work)
        keys = tuple(_tenant(work, owner, slug) for slug in slugs)
        gateway = _key(work, owner, "gateway", "gateway", None)
    for first in range(0, models, PER_TRANSACTION):
        with records.begin(SEEDER, reason="benchmark") as work:
            for number in range(first, min(first + PER_TRANSACTION, models)):
                _model(work, names[number])
                _stable(work, names[number], None, "1.0.0")
                for index, slug in enumerate(slugs):
                    if (number + index) % dedicated == 0:
                        _stable(work, names[number], slug, f"2.0.{index}")
    with records.begin(SEEDER, reason="benchmark") as work:
        size = ledger.size(work.connection)
        work.append(CURSORS, [{"name": name, "sequence": size} for name in REACTIONS])
    database.close()
    return House(names, keys, gateway)


def _owner(work: Work) -> Person:
    return identity.add_person(
        work,
        email="owner@example.org",
        name="Owner of the benchmark",
        roles=("ml_engineer",),
        password_hash=hash_password(secrets.token_urlsafe(16)),
    )


def _tenant(work: Work, owner: Person, slug: TenantId) -> str:
    """Add a tenant with a key for its endpoints; return the key's text."""
    identity.create_tenant(work, slug, slug)
    return _key(work, owner, f"{slug}-endpoints", "endpoint", slug)


def _key(work: Work, owner: Person, name: str, role: str, tenant: TenantId | None) -> str:
    account = identity.add_account(work, name=name, owner=owner.id, roles=(role,), tenant=tenant)
    return identity.issue_key(work, account)[1]


def _model(work: Work, name: str) -> None:
    model = Model(
        id=ModelId(new_id("mod")),
        name=name,
        owner="Owner of the benchmark",
        description="",
        risk_facts={"personal_data": False, "decides_alone": False},
        tier=3,
        risk_level="low",
        policy="standard",
        features=FEATURES,
        label="late",
        created_at=work.now,
    )
    event = ModelRegistered(
        subject=model.id,
        tenant=None,
        name=name,
        owner=model.owner,
        tier=3,
        risk_level="low",
        risk_reasons=[],
        policy="standard",
    )
    store.add_model(work, model, event)


def _stable(work: Work, model: str, tenant: TenantId | None, number: str) -> None:
    """A version that is in production, and its deployment."""
    digest = Digest("sha256:" + hashlib.sha256(f"{model} {number}".encode()).hexdigest())
    version = Version(
        id=VersionId(new_id("ver")),
        model=model,
        tenant=tenant,
        version=number,
        number=1 if tenant is None else 2 + int(number.split(".")[2]),
        predecessor=None,
        bump="first",
        bump_reasons=(),
        lifecycle=Lifecycle.PRODUCTION,
        digest=digest,
        size_bytes=250_000,
        framework="onnx",
        cutoff=0.5,
        training_metrics={"precision": 0.93, "recall": 0.88, "auc": 0.97},
        training_trigger=TrainingTrigger.MANUAL,
        parent=None,
        reference_digest=digest,
        reference_rows=100_000,
        holdout_digest=digest,
        lineage={"data": {"source": "benchmark", "rows": 100_000}, "code": "0" * 40},
        binding="{}",
        signature=SIGNATURE,
        signer="benchmark",
        signed_at=work.now,
        inspection={"verdict": "pass", "operators": {f"Op{n}": n for n in range(12)}},
        contributors=("usr_benchmark",),
        created_by="usr_benchmark",
        created_at=work.now,
    )
    store.add_version(work, version, version_registered(version))
    deployed = Deployed(
        id=new_id("dep"),
        model=model,
        tenant=tenant,
        environment=ENVIRONMENT,
        version=number,
        digest=digest,
        state=Deployment.STABLE,
        percent=100.0,
        salt=new_id("salt"),
        permit=PermitId(new_id("per")),
        since=work.now,
    )
    deployment_store.begin(work, deployed, begun(deployed, "benchmark"))


def version_registered(version: Version) -> VersionRegistered:
    return VersionRegistered(
        subject=version.id,
        tenant=version.tenant,
        model=version.model,
        version=version.version,
        number=version.number,
        predecessor=None,
        bump=version.bump,
        bump_reasons=list(version.bump_reasons),
        digest=version.digest,
        size_bytes=version.size_bytes,
        signer=version.signer,
        parent=None,
        trigger=version.training_trigger.value,
        inspection="pass",
        training_metrics=version.training_metrics,
    )

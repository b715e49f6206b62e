"""Somebody else's registry in memory, and a control plane that reads it under a stepped clock."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.databases import database_for

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.inventory import connection_store, store
from trimtab.inventory.model import Connection, Scope, Sync
from trimtab.inventory.model import Entry as Kept
from trimtab.inventory.source import (
    Details,
    Listed,
    Listing,
    Malformed,
    Probe,
    SourceFile,
    SourceModel,
    SourceVersion,
)
from trimtab.inventory.store import Filter
from trimtab.kernel.actor import Actor, ActorKind
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.ids import TenantId
from trimtab.platform.settings import Settings
from trimtab.workflows import connections
from trimtab.workflows.connections import Asked
from trimtab.workflows.ingest import Ingest
from trimtab.workflows.parts import Parts

FIRST = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CREATED_MS = 1_770_000_000_000
FLEET = Actor("usr_fleet", ActorKind.PERSON, None, frozenset())
READING = frozenset({"models", "versions", "details", "version", "model", "probe"})


def of_tenant(name: str) -> Actor:
    """Somebody who acts for one tenant."""
    return Actor(f"usr_{name}", ActorKind.PERSON, TenantId(name), frozenset())


def run_of(number: int) -> str:
    """The id of a run."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


@dataclass
class Registry:
    """A `Source` whose models and versions a test puts there. `hook` is called before every
    answer with what was asked for; what it raises is the answer."""

    page: int = 100
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    leads_to: dict[tuple[str, int], Details] = field(default_factory=dict)
    unfit: list[Malformed] = field(default_factory=list)
    hidden: set[tuple[str, int]] = field(default_factory=set)
    """Versions that are there, but on no page."""
    contents: dict[str, bytes] = field(default_factory=dict)
    hook: Callable[[str, Any], None] = lambda _what, _which: None
    asked: list[tuple[str, Any]] = field(default_factory=list)
    identity: str = "mira"

    def put(
        self, name: str, number: int, *, stage: str = "None", run: bool = True, **more: Any
    ) -> None:
        """Register a version."""
        self.documents.setdefault(
            name, {"name": name, "creation_timestamp": CREATED_MS, "tags": [], "aliases": []}
        )
        run_id = run_of(number) if run else ""
        self.held[name, number] = {
            "name": name,
            "version": str(number),
            "creation_timestamp": CREATED_MS,
            "last_updated_timestamp": CREATED_MS,
            "current_stage": stage,
            "source": f"s3://bucket/7/{run_id}/artifacts/model",
            "run_id": run_id,
            "status": "READY",
            "tags": [],
            **more,
        }

    def edit(self, name: str, number: int, **more: Any) -> None:
        """Change a version, its timestamps left alone."""
        self.held[name, number] = {**self.held[name, number], **more}

    def alias(self, name: str, **aliases: int) -> None:
        """Give a model these aliases and no others."""
        pointing = [{"alias": a, "version": str(n)} for a, n in aliases.items()]
        self.documents[name] = {**self.documents[name], "aliases": pointing}

    def take_away(self, name: str, number: int) -> dict[str, Any]:
        """Delete a version."""
        return self.held.pop((name, number))

    def _told(self, what: str, which: Any) -> None:
        self.asked.append((what, which))
        self.hook(what, which)

    def count(self, what: str) -> int:
        """How often something was asked for."""
        return sum(kind == what for kind, _ in self.asked)

    def read_in_detail(self) -> list[tuple[str, int]]:
        """Versions whose details were read, in order."""
        return [which for what, which in self.asked if what == "details"]

    def probe(self) -> Probe:
        self._told("probe", None)
        return Probe("MLflow 3", self.identity, None)

    def models(self, page: str | None = None) -> Listed[SourceModel]:
        self._told("models", page)
        found = [SourceModel(name, dict(said)) for name, said in self.documents.items()]
        return self._paged(found, page)

    def versions(
        self, page: str | None = None, *, model: str | None = None
    ) -> Listed[SourceVersion]:
        self._told("versions", page)
        shown = [key for key in self.held if key not in self.hidden and model in (None, key[0])]
        listed = self._paged([SourceVersion(*key, self.held[key]) for key in shown], page)
        return listed if page else replace(listed, malformed=tuple(self.unfit))

    def _paged(self, found: list[Any], page: str | None) -> Listed[Any]:
        first = int(page or 0)
        last = first + self.page
        return Listed(tuple(found[first:last]), (), str(last) if last < len(found) else None)

    def model(self, name: str) -> SourceModel | None:
        self._told("model", name)
        said = self.documents.get(name)
        return None if said is None else SourceModel(name, said)

    def version(self, name: str, version: int) -> SourceVersion | None:
        self._told("version", (name, version))
        said = self.held.get((name, version))
        return None if said is None else SourceVersion(name, version, said)

    def details(self, versions: Sequence[SourceVersion]) -> Iterator[Details]:
        for version in versions:
            key = (version.name, version.version)
            self._told("details", key)
            yield self.leads_to.get(key) or details_of(version)

    @contextlib.contextmanager
    def content(self, version: SourceVersion, file: SourceFile) -> Iterator[Iterator[bytes]]:
        self._told("content", (version.name, version.version, file.path))
        yield iter(io.BytesIO(self.contents.get(file.path, b"nothing")))

    def close(self) -> None:
        """There is nothing to let go of."""


def details_of(version: SourceVersion, **tags: str) -> Details:
    """What a version leads to where everything is in order."""
    run_id = str(version.document.get("run_id") or "")
    if not run_id:
        return Details(listing=Listing("s3://bucket", ()))
    told = {"mlflow.source.git.commit": "c0ffee" * 6, **tags}
    data = {
        "tags": [{"key": key, "value": value} for key, value in told.items()],
        "metrics": [{"key": "auc", "value": 0.9, "timestamp": CREATED_MS, "step": 0}],
        "params": [{"key": "depth", "value": "6"}],
    }
    info = {
        "run_id": run_id,
        "experiment_id": "7",
        "status": "FINISHED",
        "start_time": CREATED_MS,
        "end_time": CREATED_MS + 1000,
        "artifact_uri": f"s3://bucket/7/{run_id}/artifacts",
        "lifecycle_stage": "active",
    }
    dataset = {"dataset": {"name": "iris", "digest": "4f2a", "source_type": "local"}, "tags": []}
    root = str(version.document["source"])
    return Details(
        run={"info": info, "data": data, "inputs": {"dataset_inputs": [dataset]}},
        experiment={"experiment_id": "7", "name": "flowers", "artifact_location": "s3://bucket/7"},
        listing=Listing(root, (SourceFile("MLmodel", 7), SourceFile("requirements.txt", 7))),
    )


@dataclass
class Plane:
    """A control plane that does nothing by itself, and one connection."""

    parts: Parts
    connection: Connection
    application: Application

    @property
    def clock(self) -> SteppedClock:
        assert isinstance(self.parts.clock, SteppedClock)
        return self.parts.clock

    def step(self, minutes: float) -> datetime:
        """Let time go by; the moment that it then is."""
        return self.clock.step_to(self.clock.now() + minutes * MINUTE)

    def cycle(
        self,
        registry: Registry,
        scope: Scope | None = Scope.CHANGES,
        *,
        connection: Connection | None = None,
    ) -> Sync:
        """Read a registry once."""
        of = (connection or self.connection).id
        return Ingest(self.parts).cycle(of, lambda _connection: registry, scope=scope)

    def connect(self, name: str, tenant: str | None = None, **more: Any) -> Connection:
        """Another connection."""
        of = None if tenant is None else TenantId(tenant)
        asked = Asked("mlflow", f"https://{name}.example", tenant=of, name=name, **more)
        return connections.connect(self.parts, FLEET, asked, reason="a test")

    def records(
        self, wanted: Filter | None = None, *, tenant: str | None = None, moment: Any = None
    ) -> dict[tuple[str, int], Kept]:
        """What is on record, by model and version."""
        of = None if tenant is None else TenantId(tenant)
        with self.parts.records.look() as reading:
            found = store.listed(
                reading, wanted or Filter(), tenant=of, moment=moment, limit=100_000
            )
        return {(entry.record.model, entry.record.version): entry for entry in found}

    def state(self, connection: Connection | None = None) -> connection_store.State:
        with self.parts.records.look() as reading:
            return connection_store.state(reading, (connection or self.connection).id)

    def syncs(self) -> list[Sync]:
        """Every cycle, newest first."""
        with self.parts.records.look() as reading:
            return connection_store.syncs(reading, self.connection.id)

    def now(self, connection: Connection | None = None) -> Connection:
        """The connection as it is."""
        with self.parts.records.look() as reading:
            return connection_store.get(reading, (connection or self.connection).id)

    def entries(self, *kinds: str) -> Sequence[Entry]:
        with self.parts.records.look() as reading:
            return ledger.entries(reading.connection, kinds=kinds, limit=2000)

    def told(self, *kinds: str) -> list[Mapping[str, Any]]:
        """What entries of these kinds say."""
        return [entry.data or {} for entry in self.entries(*kinds)]

    def size(self) -> int:
        """How many entries the ledger has."""
        with self.parts.records.look() as reading:
            return ledger.size(reading.connection)


def settings_at(home: Path, **more: str) -> Settings:
    """The settings of a control plane under a stepped clock."""
    told: dict[str, Any] = {
        **more,
        "TRIMTAB_HOME": home,
        **database_for(home),
        "TRIMTAB_CLOCK": f"stepped:{FIRST.isoformat()}",
    }
    return Settings(**told)


@contextlib.contextmanager
def opened(home: Path, **more: str) -> Iterator[Plane]:
    """A control plane with one connection of the fleet; `more` are settings."""
    application = Application(settings_at(home, **more))
    parts = application.parts
    asked = Asked("mlflow", "https://registry.example", name="registry")
    connection = connections.connect(parts, FLEET, asked, reason="a test")
    try:
        yield Plane(parts, connection, application)
    finally:
        parts.records.database.close()

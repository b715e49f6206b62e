"""A real control plane in a process of its own, people with rights, and a real model."""

from __future__ import annotations

import io
import itertools
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.api.neighbours import Street, settle_in
from tests.databases import database_for

from trimtab.demo import data
from trimtab.demo.processes import ControlPlane, start_control_plane
from trimtab.demo.story import Story
from trimtab.identity.brakes import Brakes
from trimtab.recipes.gradient_boosting import Limits, TrainedModel, train
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

TENANTS = ("aa", "ua")
START = "2015-03-01T00:00:00Z"
LIMITS = Limits(min_rows=150, max_rows=40_000, max_parity=1e-4, max_single_auc=0.9999)


@dataclass(frozen=True)
class Material:
    """What a version is handed in with."""

    trained: TrainedModel
    features: tuple[str, ...]
    label: str
    reference: bytes
    holdout: bytes

    def artifact(self, note: str = "") -> bytes:
        """The model as ONNX; another note gives other bytes that compute the same."""
        model = onnx.load_from_string(self.trained.onnx)
        model.doc_string = note or "n" + secrets.token_hex(8)  # never the number of a card
        return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Tenants and the fleet beside each other."""
    made = settle_in(tmp_path_factory.mktemp("street") / "home")
    yield made
    made.world.close()


@pytest.fixture
def unbraked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of credentials that are none, from one address: what slows them down has tests of
    its own, and would hide what a route says."""
    monkeypatch.setattr(Brakes, "look_at", lambda *_: None)


@pytest.fixture(scope="session")
def material() -> Material:
    """A real model of real flights, trained once."""
    story = Story().flights
    table = data.flight_training(story.history_start, date(2015, 3, 1), story=story)
    trained = train(
        table,
        features=story.features,
        label=data.LONG_FLIGHT,
        time=data.DAY,
        seed=7,
        max_fpr=story.max_fpr,
        validation_share=story.validation_share,
        limits=LIMITS,
    )
    ordered = table.sort_by(data.DAY)
    held_back = int(ordered.num_rows * story.validation_share)
    return Material(
        trained,
        story.features,
        data.LONG_FLIGHT,
        parquet(ordered.slice(0, ordered.num_rows - held_back)),
        parquet(ordered.slice(ordered.num_rows - held_back)),
    )


def parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@dataclass
class House:
    """A running control plane, and everybody who speaks to it."""

    control: ControlPlane
    material: Material
    admin: Client
    keys: dict[str, str]
    people: dict[str, Client]
    tokens: dict[str, str]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return self.control.url

    @property
    def blobs(self) -> Path:
        return self.control.home / "blobs"

    def blob(self, digest: str) -> Path:
        """Where the bytes of a digest lie."""
        name = digest.removeprefix("sha256:")
        return self.blobs / "sha256" / name[:2] / name[2:]

    def http(self, who: str = "scientist", **headers: str) -> httpx.Client:
        """A bare connection as somebody: a role, or the name of a key."""
        credential = (
            {"X-Api-Key": self.keys[who]}
            if who in self.keys
            else {"Authorization": f"Bearer {self.tokens[who]}"}
        )
        return httpx.Client(base_url=self.url, headers={**credential, **headers}, timeout=60)

    def settle(self) -> None:
        """Wait until everything that is due at the present domain time has been done."""
        self.admin.clock.step(self.admin.clock.now().now)

    def new_model(self, **facts: Any) -> str:
        """Register a model of a name that nobody has; by default of tier 2."""
        name = f"flights-{next(self.numbers)}"
        known: dict[str, Any] = {
            "customer_facing": True,
            "pii": False,
            "sensitive_data": False,
            "annual_financial_impact_usd": 250_000,
            "regulated_domain": False,
            "criticality": "important",
            "reversible": True,
            "environment_cap": "none",
        }
        self.people["data_scientist"].models.register(
            shapes.NewModel(
                name=name,
                owner="Flight operations",
                risk_facts=shapes.RiskFactsShape(**{**known, **facts}),
                features=[
                    shapes.FeatureShape(name=n, kind="category" if n == "airline" else "numeric")
                    for n in self.material.features
                ],
                label=self.material.label,
                reason="a test",
            )
        )
        return name

    def metadata(self, version: str, **more: Any) -> dict[str, Any]:
        """What goes with the files of a version."""
        cutoff = self.material.trained.cutoff
        return {"version": version, "cutoff": cutoff, "reason": "a test", **more}

    def upload(
        self,
        model: str,
        metadata: dict[str, Any],
        artifact: bytes,
        *,
        who: str = "data_scientist",
        file_name: str = "model.onnx",
    ) -> httpx.Response:
        """Hand a version in, and give back whatever is answered."""
        with self.http(who) as http:
            return http.post(
                f"/api/v1/models/{model}/versions",
                data={"metadata": json.dumps(metadata)},
                files={
                    "artifact": (file_name, artifact),
                    "reference": ("reference.parquet", self.material.reference),
                    "holdout": ("holdout.parquet", self.material.holdout),
                },
            )

    def registered(self, model: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
        """A version that was handed in, of bytes that no other version has."""
        answer = self.upload(model, self.metadata(version, **more), self.material.artifact())
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def approved(self, model: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
        """A version that was checked, and for which everybody has signed who has to."""
        found = self.registered(model, version, **more)
        self.settle()
        for approval in list(self.admin.approvals.list(phase="pending")):
            if approval.target.version_id != found["id"]:
                continue
            for step in approval.steps:
                self.people[step.role].approvals.vote(
                    approval.id, approve=True, digest=found["digest"], reason="looked at it"
                )
        self.settle()
        return found


ROLES = (
    "data_scientist",
    "ml_engineer",
    "ml_lead",
    "business_owner",
    "peer_reviewer",
    "on_call",
    "auditor",
)
ACCOUNTS: dict[str, tuple[str, str | None]] = {
    "feed": ("feed", None),
    "gateway": ("gateway", None),
    "endpoint": ("endpoint", None),
    "endpoint-aa": ("endpoint", "aa"),
    "endpoint-ua": ("endpoint", "ua"),
    "scientist-aa": ("data_scientist", "aa"),
    "scientist-ua": ("data_scientist", "ua"),
}


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, material: Material) -> Iterator[House]:
    """One control plane for all tests here; each registers models of its own."""
    home = tmp_path_factory.mktemp("house") / "home"
    control = start_control_plane(home, START, port=None, more=database_for(home))
    try:
        found = assembled(control, material)
        yield found
        for client in found.people.values():
            client.close()
    finally:
        control.process.handle.kill()  # in peace it would wait for jobs that pause before a retry
        control.process.stop()


def assembled(control: ControlPlane, material: Material) -> House:
    """Add tenants, people and accounts through the interface."""
    with Client(control.url) as nobody:
        token = nobody.identity.log_in("admin@localhost", control.admin_password)
    admin = Client(control.url, token=token)
    tokens, people, keys = {"admin": token}, {"admin": admin}, {}
    for name in TENANTS:
        admin.identity.add_tenant(shapes.NewTenant(id=name, name=name.upper()))
    for role in ROLES:
        email, password = f"{role}@example.org", secrets.token_urlsafe(24)
        admin.identity.add_person(
            shapes.NewPerson(email=email, name=role, roles=[role], password=password)
        )
        tokens[role] = admin.identity.log_in(email, password)
        people[role] = Client(control.url, token=tokens[role])
    for name, (role, tenant) in ACCOUNTS.items():
        account = shapes.NewAccount(name=name, roles=[role], tenant=tenant)
        keys[name] = admin.identity.add_account(account).key
    return House(control, material, admin, keys, people, tokens)


Refuses = Callable[[httpx.Response, int, str], dict[str, Any]]


@pytest.fixture(scope="session")
def refuses() -> Refuses:
    """Look at a refusal: its status, its code, and that it is a document for a person."""

    def look(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = answer.json()
        assert body["status"] == status
        assert body["code"] == code
        assert len(body["title"]) > 8
        assert len(body["remedy"]) > 8
        assert body["type"] == f"/docs/errors#{code}"
        assert "Traceback" not in answer.text
        return body

    return look

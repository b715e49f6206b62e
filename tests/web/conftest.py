"""A real control plane in a folder, with a history that was really decided."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
from playwright.sync_api import sync_playwright
from tests import databases
from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS
from tests.registering import GRAPH
from tests.tables import tables_of_records

from trimtab import web
from trimtab.app import Application
from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.approvals.automatic import Facts, criteria
from trimtab.approvals.model import Approval, Target
from trimtab.artifacts.binding import Binding
from trimtab.checks import service as checks
from trimtab.checks import store as check_store
from trimtab.checks.model import Result, conclude
from trimtab.identity import service as identity
from trimtab.identity import sessions
from trimtab.identity import store as people
from trimtab.identity.model import Person
from trimtab.identity.passwords import hash_password
from trimtab.identity.roles import held
from trimtab.incidents import service as incidents
from trimtab.incidents.model import Incident, Kind, Severity, Signal
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.clock import SteppedClock, iso
from trimtab.kernel.grants import Subject
from trimtab.kernel.ids import Digest, IncidentId, TenantId, WindowId, new_id
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring import store as windows
from trimtab.monitoring.model import Drift, Performance, Phase, Window
from trimtab.observations import store as observations
from trimtab.observations.batches import parse_predictions
from trimtab.platform.settings import Settings
from trimtab.policies.risk import Criticality, EnvironmentCap, RiskFacts
from trimtab.registry import service as registry
from trimtab.registry import store
from trimtab.registry.model import Feature, Lifecycle, TrainingTrigger, Version
from trimtab.registry.registration import Registration
from trimtab.rollouts import service as rollouts
from trimtab.rollouts.analysis import Evidence, Look, judge
from trimtab.rollouts.model import Rollout
from trimtab.stats.intervals import clopper_pearson
from trimtab.web.session import cookie_name
from trimtab.workflows import intake, permits, release
from trimtab.workflows.parts import ENVIRONMENT, policy_of

PASSWORD = "copper lantern quiet harbour"
FIND_BROWSER = Path(__file__).parents[2] / "scripts" / "browser.sh"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
EARLY = datetime(2015, 1, 5, 8, tzinfo=UTC)
MODEL = "flight-delays"
FEATURES = (
    Feature("distance_miles", "numeric"),
    Feature("departure_hour", "numeric"),
    Feature("carrier", "category"),
)


class Browser:
    """A person at the pages: logs in, opens addresses, sends the forms that stand there."""

    def __init__(self, origin: str):
        self.origin = origin
        self.client = httpx.Client(base_url=origin, trust_env=False, timeout=PATIENCE_SECONDS)

    def get(self, address: str) -> httpx.Response:
        return self.client.get(address, headers={"Accept": "text/html"})

    def csrf(self, address: str = "/") -> str:
        return field(self.get(address).text, "csrf")

    def post(self, address: str, *, origin: str | None = "", **fields: str) -> httpx.Response:
        """Send a form; from our own page, from `origin`, or (None) without saying whence."""
        said = self.origin if origin == "" else origin
        headers = {"Accept": "text/html", **({"Origin": said} if said else {})}
        return self.client.post(address, data=fields, headers=headers)

    def send(self, address: str, **fields: str) -> httpx.Response:
        """Send a form with the session's token."""
        return self.post(address, csrf=self.csrf(), **fields)


def field(html: str, name: str) -> str:
    """The value of the first hidden field of this name."""
    return html.split(f'name="{name}" value="', 1)[1].split('"', 1)[0]


class World:
    """A control plane, its people, and the verbs that make its history."""

    def __init__(self, home: Path, clock: datetime = EARLY):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        settings = Settings.model_validate(
            {
                "TRIMTAB_HOME": home,
                **database_for(home),
                "TRIMTAB_PORT": port,
                "TRIMTAB_CLOCK": "stepped:" + iso(clock),
            }
        )
        self.home = home
        self.origin = f"http://127.0.0.1:{port}"
        self.application = Application(settings)
        self.parts = self.application.parts
        self.app = self.application.http()
        if not any(getattr(route, "path", "") == "/login" for route in self.app.routes):
            web.install(self.app)
        for table in tables_of_records():
            table.create(self.parts.records.database.engine, checkfirst=True)
        config = uvicorn.Config(self.app, log_level="warning", log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        self.people: dict[str, Person] = {}
        self._browsers: list[Browser] = []
        self._numbers = itertools.count(1)
        with self.parts.records.look() as reading:
            for person in people.people(reading):
                self.people[person.email.split("@")[0]] = person

    def cast(self) -> None:
        """Tenants, and people of the platform and of tenants."""
        with self.parts.records.begin(system("test"), reason="the cast") as work:
            identity.create_tenant(work, "acme", "Acme Air")
            identity.create_tenant(work, "globex", "Globex Jets")
        cast = {
            "dan": ("Dan Okafor", ("data_scientist",), None),
            "mira": ("Mira Lindqvist", ("ml_lead",), None),
            "bo": ("Bo Castellanos", ("business_owner",), None),
            "eve": ("Eve Tanaka", ("ml_engineer", "peer_reviewer"), None),
            "audrey": ("Audrey Novak", ("auditor",), None),
            "root": ("Administrator", ("admin",), None),
            "tina": ("Tina Moreau", ("ml_lead",), "acme"),
            "gil": ("Gil Becker", ("ml_lead",), "globex"),
            "felix": ("Felix Feed", ("feed",), None),
        }
        for short, (name, roles, tenant) in cast.items():
            with self.parts.records.begin(system("test"), reason="the cast") as work:
                self.people[short] = identity.add_person(
                    work,
                    email=f"{short}@example.org",
                    name=name,
                    roles=roles,
                    password_hash=hash_password(PASSWORD),
                    tenant=None if tenant is None else TenantId(tenant),
                )

    def close(self) -> None:
        for browser in self._browsers:
            browser.client.close()
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self.parts.records.database.close()

    def actor(self, name: str) -> Actor:
        return self.people[name].actor()

    @property
    def now(self) -> datetime:
        return self.parts.clock.now()

    def step_to(self, moment: datetime) -> None:
        assert isinstance(self.parts.clock, SteppedClock)
        self.parts.clock.step_to(moment)

    def step(self, **length: float) -> None:
        self.step_to(self.now + timedelta(**length))

    def browser(self, name: str | None = None) -> Browser:
        """A browser; with a name, in a session of this person, opened without the form."""
        browser = Browser(self.origin)
        self._browsers.append(browser)
        if name is not None:
            at = self.parts.real_clock.now()
            until = at + self.parts.settings.session_life()
            with self.parts.records.begin(system("pages"), reason="logged in") as work:
                token, _ = sessions.open_session(work, self.people[name], at=at, until=until)
            browser.client.cookies.set(cookie_name(self.parts), token)
        return browser

    def model(self, name: str = MODEL, description: str = "Will this flight arrive late?") -> None:
        facts = RiskFacts(
            customer_facing=True,
            pii=False,
            sensitive_data=False,
            annual_financial_impact_usd=400_000.0,
            regulated_domain=False,
            criticality=Criticality.IMPORTANT,
            reversible=True,
            environment_cap=EnvironmentCap.NONE,
        )
        intake.register_model(
            self.parts,
            self.actor("dan"),
            name=name,
            owner="Flight operations",
            description=description,
            facts=facts,
            features=FEATURES,
            label="late",
            policy="",
            reason="first model of the year",
        )

    def version(
        self,
        number: str,
        *,
        model: str = MODEL,
        tenant: str | None = None,
        trigger: TrainingTrigger = TrainingTrigger.MANUAL,
        parent: str | None = None,
        metrics: dict[str, float] | None = None,
        reason: str = "trained on the last twelve months",
        rows: int = 3000,
    ) -> Version:
        """A version whose bytes are stored and really signed, learnt from so many rows."""
        content = f"{model} {number} {tenant}".encode()
        blob = self.parts.blobs.put(BytesIO(content), max_bytes=len(content))
        training = training_data(rows)
        reference = self.parts.blobs.put(BytesIO(training), max_bytes=len(training))
        whose = None if tenant is None else TenantId(tenant)
        binding = Binding(model, number, whose, blob.digest, blob.digest)
        bundle = self.parts.signer.sign(self.parts.blobs.path(blob.digest), binding)
        with self.parts.records.begin(self.actor("dan"), reason=reason) as work:
            return registry.register_version(
                work,
                Registration(
                    model=model,
                    tenant=whose,
                    version=number,
                    digest=blob.digest,
                    size_bytes=184_320,
                    framework="scikit-learn 1.7",
                    cutoff=0.62,
                    training_metrics=metrics
                    or {
                        "accuracy": 0.881,
                        "precision": 0.742,
                        "recall": 0.611,
                        "f1": 0.670,
                        "false_positive_rate": 0.0131,
                    },
                    training_trigger=trigger,
                    parent=parent,
                    reference_digest=reference.digest,
                    reference_rows=rows,
                    holdout_digest=reference.digest,
                    lineage={
                        "data": "flights 2014",
                        "commit": "4f2c1aa",
                        "rows": 228_000,
                        "hyperparameters": {"trees": 60},
                    },
                    binding=binding.to_bytes().decode(),
                    signature=bundle.decode(),
                    signer=self.parts.signer.key_id,
                    inspection={"result": "clean", "format": "onnx", "nodes": 812, "onnx": GRAPH},
                    contributors=(self.people["dan"].id,),
                ),
            )

    def check(self, version: Version, *, fail: str | None = None, open_: str | None = None) -> None:
        """Run the checks, as far as the records are concerned."""
        digest = self.policy_digest(version.model)
        results = [
            Result("artifact_integrity", Verdict.PASS, "the signature fits the stored bytes"),
            Result("schema", Verdict.PASS, "3 inputs, as registered", {"inputs": 3}),
            Result("security_scan", Verdict.PASS, "no custom operator, no external data"),
            Result(
                "performance",
                Verdict.PASS,
                "every metric is within its limit on 4,200 held-out rows",
                {
                    "rows": 4200,
                    "metrics": {
                        "f1": 0.671,
                        "precision": 0.742,
                        "recall": 0.612,
                        "false_positive_rate": 0.0131,
                    },
                    "precision": {"value": 0.742, "limit": 0.5, "interval": [0.71, 0.77]},
                    "false_positive_rate": {
                        "value": 0.0131,
                        "limit": 0.05,
                        "interval": [0.0098, 0.0172],
                    },
                },
            ),
        ]
        results = [
            Result(r.name, Verdict.FAIL, "it is not what it must be") if r.name == fail else r
            for r in results
        ]
        results = [
            Result(r.name, Verdict.INCONCLUSIVE, "800 more labelled rows are needed")
            if r.name == open_
            else r
            for r in results
        ]
        with self.parts.records.begin(system("intake"), reason="checks of the policy") as work:
            registry.move_version(work, version.id, Lifecycle.STAGING, why="checks were run")
            checks.keep(
                work,
                results,
                model=version.model,
                tenant=version.tenant,
                version_id=version.id,
                version=version.version,
                digest=version.digest,
                policy_digest=digest,
                attempt=1,
            )
            if fail:
                registry.move_version(work, version.id, Lifecycle.REJECTED, why=f"{fail} failed")

    def policy_digest(self, model: str) -> Digest:
        with self.parts.records.look() as reading:
            return Digest(policy_of(self.parts, store.model_named(reading, model))[1])

    def ask(self, version: Version) -> Approval:
        """Ask for the approval that the policy demands."""
        with self.parts.records.begin(system("intake"), reason="all checks passed") as work:
            model = store.model_named(work, version.model)
            demands, digest = policy_of(self.parts, model)
            names = [name.value for name in demands.checks.required]
            conclusion = conclude(check_store.of_version(work, version.id), names)
            facts = Facts(conclusion.verdicts, tuple(names), True, 100.0, None, None, False)
            target = Target(
                model=version.model,
                version_id=version.id,
                version=version.version,
                digest=version.digest,
                tenant=version.tenant,
                environment=ENVIRONMENT,
                max_percent=demands.rollout.max_traffic_percent,
                checks_digest=conclusion.digest,
                policy_digest=digest,
            )
            return approvals.request(
                work,
                target,
                comment=f"{version.model} {version.version}, trained because of "
                f"{version.training_trigger.value}",
                contributors=version.contributors,
                criteria=criteria(facts, demands.approvals.auto_approve),
                demands=demands.approvals,
            )

    def vote(self, approval: Approval, who: str, reason: str) -> None:
        roles = held(self.people[who].roles, Subject())
        with self.parts.records.begin(self.actor(who), reason=reason) as work:
            approvals.decide(work, approval.id, roles, approve=True, digest=approval.target.digest)

    def approve(self, version: Version) -> None:
        """Checks, request, two signatures, and what follows."""
        self.check(version)
        self.step(hours=2)
        approval = self.ask(version)
        self.step(hours=5)
        self.vote(approval, "mira", "errors are even over carriers; the gain is real")
        self.step(hours=3)
        self.vote(approval, "bo", "worth it for the winter season")
        with self.parts.records.begin(system("intake"), reason="two signatures") as work:
            assert approval_store.get(work, approval.id).phase.value == "approved"
            registry.move_version(work, version.id, Lifecycle.APPROVED, why="two signatures")

    def start(self, version: Version) -> Rollout:
        """A rollout at its first step, observed."""
        with self.parts.records.begin(system("release"), reason="it was approved") as work:
            fresh = store.version_by_id(work, version.id)
            rollout = release.start(self.parts, work, fresh)
        return self.act(rollout)

    def act(self, rollout: Rollout) -> Rollout:
        """Bring about what is intended, and observe it."""
        demands = release.demands_of(self.parts, rollout.id)
        with self.parts.records.begin(system("release"), reason="what is intended") as work:
            version = store.version_by_id(work, rollout.version_id)
            model = store.model_named(work, rollout.model)
            tier, _ = policy_of(self.parts, model)
            percent = rollout.intended_percent
            if percent == 0:
                registry.withdraw_canary(
                    work,
                    rollout.model,
                    rollout.tenant,
                    ENVIRONMENT,
                    version=rollout.version,
                    why=rollout.outcome_reason or "taken back",
                )
            else:
                permit = permits.permit_for(self.parts, work, version, percent, tier)
                if percent == 100:
                    registry.promote_canary(
                        work, version, environment=ENVIRONMENT, permit=permit, why="last step"
                    )
                else:
                    registry.set_canary(
                        work,
                        version,
                        environment=ENVIRONMENT,
                        percent=percent,
                        permit=permit,
                        salt=rollout.id,
                        why=f"step {rollout.step + 1}",
                    )
            return rollouts.observe(work, rollout.id, percent, demands=demands)

    def look(
        self, rollout: Rollout, false_positives: int, negatives: int, *, days: int = 3
    ) -> Rollout:
        """Let time pass, judge what was seen, and act on it."""
        self.step(days=days)
        demands = release.demands_of(self.parts, rollout.id)
        compared = rollout.active_version is not None
        active = (60, 4000) if compared else (0, 0)
        evidence = Evidence(
            (Look(false_positives, negatives, *active),),
            negatives,
            timedelta(days=days),
            compared,
        )
        with self.parts.records.begin(system("release"), reason="look at the canary") as work:
            moved = rollouts.advance(
                work,
                rollout.id,
                judge(evidence, demands),
                revision=rollout.revision,
                demands=demands,
            )
        return moved if moved.observed and moved.intended_percent != 0 else self.act(moved)

    def promote(self, version: Version, *, days: int = 3) -> Rollout:
        """All the way to stable."""
        rollout = self.start(version)
        while not rollout.settled:
            rollout = self.look(rollout, 60, 6000, days=days)
        return rollout

    def window(
        self,
        start: datetime,
        *,
        version: str = "1.0.0",
        model: str = MODEL,
        tenant: str | None = None,
        ks_d: float = 0.06,
        false_positives: int | None = 8,
        negatives: int = 900,
        days: int = 1,
    ) -> Window:
        """A window whose input, and perhaps output, was looked at."""
        whose = None if tenant is None else TenantId(tenant)
        window = Window(
            id=WindowId(new_id("win")),
            model=model,
            tenant=whose,
            start=start,
            end=start + timedelta(days=days),
            phase=Phase.SCHEDULED,
            due_at=None,
        )
        drift = Drift(
            verdict=Verdict.FAIL if ks_d >= 0.2 else Verdict.PASS,
            reason="distance_miles has moved" if ks_d >= 0.2 else "no feature has moved",
            features=[feature("distance_miles", ks_d), feature("departure_hour", 0.05)],
            reference="sha256:" + "0" * 64,
        )
        self.step_to(window.end)
        with self.parts.records.begin(system("watch"), reason="the window is over") as work:
            window = windows.add(work, window, window.scheduled())
            closed, event = window.close(
                drift,
                rows=1200,
                at=work.now,
                label_wait=timedelta(days=2),
                policy_digest=self.policy_digest_of(work, model),
            )
            window = windows.save(work, closed, event)
            if false_positives is not None:
                performance = outcome(version, false_positives, negatives)
                settled, told = window.settle(
                    performance, at=work.now, policy_digest=window.policy_digest
                )
                window = windows.save(work, settled, told)
        return window

    def predictions(self, factor: float, version: str = "1.0.0", rows: int = 400) -> None:
        """Predictions of the last day, with distances in another unit."""
        when = self.now - timedelta(hours=12)
        rng = np.random.default_rng(7)
        stamp = int(when.timestamp() * 1000)
        ids = [str(uuid.UUID(int=(stamp << 80) | (7 << 76) | (2 << 62) | n)) for n in range(rows)]
        batch = pa.record_batch(
            {
                "prediction_id": ids,
                "row": pa.array([0] * rows, pa.int32()),
                "model": [MODEL] * rows,
                "version": [version] * rows,
                "digest": ["sha256:" + "0" * 64] * rows,
                "tenant": ["acme"] * rows,
                "endpoint": ["gate-1"] * rows,
                "deployment": ["stable"] * rows,
                "at": pa.array([when] * rows, pa.timestamp("ms", "UTC")),
                "latency_ms": pa.array([1.5] * rows, pa.float64()),
                "in.distance_miles": rng.gamma(3.0, 250.0, rows) * factor,
                "out.score": rng.uniform(0, 1, rows),
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        parsed = parse_predictions(bytes(sink.getvalue()))
        one = observations.Delivery(observations.PREDICTIONS, f"batch-{stamp}", parsed)
        records = self.parts.records
        with records.begin(system("feed"), reason="a gateway shipped", before=one.bring) as work:
            one.keep(work)

    def policy_digest_of(self, work: Any, model: str) -> str:
        return policy_of(self.parts, store.model_named(work, model))[1]

    def incident(
        self,
        title: str = "distance_miles has moved: KS distance 0.41, the limit is 0.20.",
        *,
        tenant: str | None = None,
        model: str = MODEL,
        drift_start: datetime | None = None,
        severity: Severity = Severity.HIGH,
        metric: str | None = None,
    ) -> Incident:
        """One about a feature that has moved, or about a `metric`."""
        about = f"performance:{metric}" if metric else "drift:distance_miles"
        with self.parts.records.begin(system("watch"), reason="drift is confirmed") as work:
            return incidents.open_or_join(
                work,
                Signal(
                    sequence=next(self._numbers),
                    model=model,
                    tenant=None if tenant is None else TenantId(tenant),
                    kind=Kind.PERFORMANCE if metric else Kind.DATA_DRIFT,
                    cause_key=about,
                    severity=severity,
                    title=title,
                    at=work.now,
                    feature=None if metric else "distance_miles",
                    drift_start=drift_start or work.now - timedelta(days=2),
                    data={"ks_d": 0.41, "limit": 0.2},
                ),
            )

    def resolve(self, incident: IncidentId) -> None:
        with self.parts.records.begin(self.actor("root"), reason="the feed was repaired") as work:
            incidents.resolve(
                work, incident, {"ks_d": 0.05}, resolution="The feed sends miles again."
            )


def training_data(rows: int = 3000) -> bytes:
    """What the versions were trained on, as Parquet."""
    rng = np.random.default_rng(3)
    table = pa.table(
        {
            "distance_miles": rng.gamma(3.0, 250.0, rows),
            "departure_hour": rng.integers(0, 24, rows).astype(float),
            "carrier": rng.choice(["AA", "DL", "UA", "WN"], rows),
            "late": rng.integers(0, 2, rows),
        }
    )
    sink = BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def feature(name: str, ks_d: float) -> dict[str, Any]:
    """A feature of a look, as the records keep it."""
    moved = ks_d >= 0.2
    return {
        "feature": name,
        "kind": "numeric",
        "drift_type": "data_drift",
        "n_reference": 50_000,
        "n_current": 1200,
        "null_rate_reference": 0.001,
        "null_rate_current": 0.001,
        "measures": {
            "ks_d": ks_d,
            "category_mass": None,
            "wasserstein_scaled": ks_d * 1.4,
            "psi": ks_d * 0.9,
            "psi_noise": 0.02,
            "p_value": 0.5,
            "p_adjusted": 0.6,
            "direction": "up" if moved else None,
        },
        "moved": moved,
        "severity": "high" if moved else "none",
        "votes": [],
        "votes_cast": 2.0 if moved else 0.0,
        "confirmed": moved,
        "structural": [],
        "undecided": [],
        "insufficient": None,
    }


def outcome(version: str, false_positives: int, negatives: int) -> Performance:
    """What a look at the output found, with its exact interval."""
    interval = clopper_pearson(false_positives, negatives, confidence=0.95)
    bad = interval.low > 0.05
    judgement = {
        "metric": "false_positive_rate",
        "version": version,
        "deployment": "stable",
        "verdict": "fail" if bad else "pass",
        "value": false_positives / negatives,
        "limit": 0.05,
        "interval": [interval.low, interval.high],
        "baseline": 0.013,
        "rows": negatives,
        "reason": "beyond its limit" if bad else "within its limit",
        "calm": not bad,
    }
    return Performance(
        verdict=Verdict.FAIL if bad else Verdict.PASS,
        reason=str(judgement["reason"]),
        labels=negatives,
        sides=[],
        judgements=[judgement],
    )


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, datetime]]:
    """Folders to copy: `empty` has the cast alone, `told` half a year of history."""
    made = {}
    for name in ("empty", "told"):
        world = World(tmp_path_factory.mktemp(name) / "home")
        world.cast()
        if name == "told":
            tell(world)
        made[name] = (world.home, world.now)
        world.close()
    return made


def opened(template: tuple[Path, datetime], folder: Path) -> Iterator[World]:
    """A world that begins as a copy of `template`."""
    home, now = template
    shutil.copytree(home, folder)
    databases.copied(home, folder, in_use=False)
    made = World(folder, now)
    yield made
    made.close()


@pytest.fixture
def world(templates: dict[str, tuple[Path, datetime]], tmp_path: Path) -> Iterator[World]:
    """People and tenants, and nothing else yet."""
    yield from opened(templates["empty"], tmp_path / "home")


@pytest.fixture
def told(templates: dict[str, tuple[Path, datetime]], tmp_path: Path) -> Iterator[World]:
    """A world with half a year behind it, which the test may change."""
    yield from opened(templates["told"], tmp_path / "home")


@pytest.fixture(scope="session")
def shown(
    templates: dict[str, tuple[Path, datetime]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A world with half a year behind it, shared: for tests that change nothing."""
    yield from opened(templates["told"], tmp_path_factory.mktemp("shown") / "home")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real browser; without one the test fails, and says how to get it."""
    found = subprocess.run([FIND_BROWSER, "--find"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=ARGUMENTS)
        yield browser
        browser.close()


def tell(world: World) -> None:
    """Two versions released, one taken back, a drift, a tenant of its own, one request open."""
    start = datetime(2015, 1, 8, tzinfo=UTC)
    world.model()
    world.model("seat-demand", "How many seats will be asked for?")
    first = world.version("1.0.0")
    world.approve(first)
    world.promote(first)
    own = world.version("1.0.1", tenant="acme", parent="1.0.0", reason="acme's own routes")
    world.approve(own)
    world.promote(own)
    day = max(world.now, start).replace(hour=0) + timedelta(days=1)
    for n in range(24):
        world.window(
            day + timedelta(days=2 * n),
            ks_d=0.05 + 0.012 * (n % 4),
            days=2,
            false_positives=9 + n % 5,
        )
    second = world.version("1.1.0", parent="1.0.0", trigger=TrainingTrigger.SCHEDULE)
    world.approve(second)
    taken = world.look(world.start(second), 60, 6000)
    world.look(taken, 500, 4000)
    day = world.now.replace(hour=0) + timedelta(days=1)
    for n in range(6):
        world.window(
            day + timedelta(days=2 * n), days=2, ks_d=0.12 + 0.055 * n, false_positives=14 + 9 * n
        )
    early = world.incident()
    world.predictions(1.609)
    for n in range(6, 9):
        world.window(
            day + timedelta(days=2 * n), days=2, ks_d=0.41 - 0.01 * n, false_positives=62 - n
        )
    world.resolve(early.id)
    third = world.version(
        "1.2.0", parent="1.0.0", trigger=TrainingTrigger.DRIFT, reason="the input has moved"
    )
    world.approve(third)
    world.promote(third)
    day = world.now.replace(hour=0) + timedelta(days=1)
    for n in range(8):
        world.window(
            day + timedelta(days=2 * n),
            days=2,
            ks_d=0.05 + 0.01 * (n % 3),
            false_positives=7 + n % 3,
            version="1.2.0",
        )
    world.incident(
        "carrier has a new category: 4.1 % of the rows.", tenant="acme", severity=Severity.MEDIUM
    )
    fourth = world.version("1.3.0", parent="1.2.0", trigger=TrainingTrigger.SCHEDULE)
    world.approve(fourth)
    world.look(world.start(fourth), 60, 6000, days=2)
    fifth = world.version("1.4.0", parent="1.3.0", trigger=TrainingTrigger.SCHEDULE)
    world.check(fifth)
    world.ask(fifth)
    world.step(hours=7)

"""Over HTTP: what each read of the registry answered then is what it answers about then."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.web.conftest import MODEL, World, outcome

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.identity import service as identity
from trimtab.kernel.actor import system
from trimtab.kernel.clock import iso
from trimtab.kernel.errors import TrimtabError
from trimtab.kernel.ids import TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring import store as windows
from trimtab.monitoring.model import Drift, Window
from trimtab.registry import service as registry
from trimtab.registry import store
from trimtab.registry.model import Lifecycle, Version
from trimtab.rollouts.model import Rollout
from trimtab.sdk.client import Client
from trimtab.workflows.parts import ENVIRONMENT

INSTANT = timedelta(microseconds=1)
READS = (
    "/api/v1/models",
    f"/api/v1/models/{MODEL}",
    f"/api/v1/models/{MODEL}/versions",
    f"/api/v1/models/{MODEL}/versions?vocabulary=rollout",
    f"/api/v1/models/{MODEL}/versions/1.1.0",
    f"/api/v1/models/{MODEL}/deployments",
    *(f"/api/ml/model/latest?model={MODEL}#till-{n}" for n in range(2)),
)
"""What stands behind # is the endpoint that asks."""

Answers = dict[tuple[str, str], tuple[int, Any]]


class Remembering(World):
    """A world that remembers what was answered at the end of each of its moments."""

    def __init__(self, home: Path):
        super().__init__(home)
        self.cast()
        self.http = httpx.Client(base_url=self.origin, trust_env=False)
        self.keys = {
            "fleet": self.key("data_scientist", None),
            "acme": self.key("data_scientist", "acme"),
            "shop": self.key("endpoint", "acme"),
        }
        self.seen: list[tuple[datetime, Answers]] = []
        self.remembers = False

    def key(self, role: str, tenant: str | None) -> str:
        whose = None if tenant is None else TenantId(tenant)
        with self.parts.records.begin(system("test"), reason="the cast") as work:
            account = identity.add_account(
                work,
                name=f"{role} {tenant}",
                owner=self.people["dan"].id,
                roles=(role,),
                tenant=whose,
            )
            return identity.issue_key(work, account)[1]

    def step_to(self, moment: datetime) -> None:
        if self.remembers and moment > self.now:
            self.seen.append((self.now, self.answers()))
        super().step_to(moment)

    def get(self, who: str, path: str, **query: str) -> httpx.Response:
        address, _, endpoint = path.partition("#")
        headers = {"X-Api-Key": self.keys[who], "X-Endpoint-Id": endpoint or "none"}
        asked = httpx.URL(address).copy_merge_params(query)
        return self.http.get(asked, headers=headers)

    def answers(self, at: datetime | None = None) -> Answers:
        """What everybody is answered to everything; of a refusal, its kind alone."""
        query = {} if at is None else {"as_of": iso(at)}
        found: Answers = {}
        for who in self.keys:
            for path in READS:
                answer = self.get(who, path, **query)
                body = answer.json()
                said = body if answer.status_code == 200 else body["code"]
                found[who, path] = (answer.status_code, said)
        return found

    def close(self) -> None:
        self.http.close()
        super().close()

    def compare(self) -> None:
        """Ask about each moment that was, and about the last instant before the next."""
        self.step(seconds=1)
        nexts = [at for at, _ in self.seen[1:]] + [self.now]
        for (at, said), after in zip(self.seen, nexts, strict=True):
            assert self.answers(at) == said, at
            assert self.answers(after - INSTANT) == said, at

    def roll_back(self, tenant: str | None = None) -> None:
        """Put the predecessor of the stable version back."""
        whose = None if tenant is None else TenantId(tenant)
        with self.parts.records.begin(system("release"), reason="harm") as work:
            target = registry.rollback_target(work, MODEL, whose, ENVIRONMENT)
            assert target is not None
            version = store.find_version(work, MODEL, target.version)
            assert version is not None
            asked = approval_store.of_version(work, version.id)[-1]
            permit = registry.issue_permit(
                work,
                version,
                environment=ENVIRONMENT,
                max_percent=100.0,
                approval=asked.id,
                policy_digest=asked.target.policy_digest,
                lifetime=timedelta(hours=1),
                key=self.parts.permit_key,
            )
            registry.roll_back_stable(work, MODEL, whose, ENVIRONMENT, permit=permit, why="harm")

    def moved(self, version: Version, to: Lifecycle) -> None:
        with self.parts.records.begin(system("test"), reason="a story") as work:
            registry.move_version(work, version.id, to, why="a story")

    def void(self, version: Version) -> None:
        """The newest approval of a version stands no more."""
        with self.parts.records.begin(system("approvals"), reason="other checks") as work:
            approvals.void(work, approval_store.of_version(work, version.id)[-1].id, "a story")

    def revise(self, window: Window, false_positives: int) -> None:
        """Rows came late, and the window was judged again."""
        version = str((window.performance or outcome("", 0, 1)).judgements[0]["version"])
        drift = window.drift or Drift(Verdict.PASS, "", [], "")
        with self.parts.records.begin(system("watch"), reason="late rows") as work:
            revised, event = window.revise(
                drift,
                outcome(version, false_positives, 950),
                rows=1300,
                skipped=(),
                policy_digest=window.policy_digest,
            )
            windows.save(work, revised, event)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Remembering]:
    made = Remembering(tmp_path / "home")
    yield made
    made.close()


def tell(world: Remembering) -> None:
    """Released, measured, revised, taken back while a canary, promoted, rolled back."""
    world.remembers = True
    world.step(hours=1)
    world.model()
    world.step(hours=1)
    first = world.version("1.0.0")
    world.step(hours=1)
    world.approve(first)
    world.step(hours=1)
    world.promote(first)
    window = world.window(datetime(2015, 2, 20, tzinfo=UTC), version="1.0.0")
    world.step(hours=1)
    world.revise(window, 12)
    world.step(hours=1)
    bad = world.version("1.1.0", parent="1.0.0")
    world.approve(bad)
    world.look(world.start(bad), 700, 6000)
    world.step(hours=1)
    own = world.version("1.2.0", tenant="acme")
    world.approve(own)
    world.promote(own)
    world.window(world.now, version="1.2.0", tenant="acme")
    good = world.version("1.3.0")
    world.approve(good)
    world.promote(good)
    world.step(hours=1)
    world.roll_back()
    world.step(hours=1)
    world.void(good)
    world.step(hours=1)
    world.moved(own, Lifecycle.QUARANTINED)
    refused = world.version("1.4.0")
    world.step(hours=1)
    world.check(refused, fail="performance")


@pytest.mark.slow
def test_every_read_is_answered_as_it_was(world: Remembering) -> None:
    tell(world)
    world.compare()
    said = dict(world.seen[-1][1])
    versions = {v["version"]: v for v in said["fleet", READS[2]][1]["items"]}
    assert versions["1.0.0"]["false_positive_rate"]["source"] == "window"
    assert versions["1.0.0"]["false_positive_rate"]["rows"] == 950, "as it was revised"
    assert versions["1.1.0"]["false_positive_rate"]["source"] == "canary"
    words = {v["version"]: v["status"] for v in said["fleet", READS[3]][1]["items"]}
    assert words == {
        "1.0.0": "Stable",
        "1.1.0": "Rolled Back",
        "1.2.0": "Rolled Back",
        "1.3.0": "Rolled Back",
        "1.4.0": "Rolled Back",
    }
    asked = {
        v["version"]: v["approval"]["phase"]
        for v in said["fleet", READS[2]][1]["items"]
        if v["approval"]
    }
    assert asked["1.3.0"] == "voided"
    assert len({str(a) for _, a in world.seen}) > 20, "there was a story"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_every_read_is_answered_as_it_was_in_any_story(world: Remembering, seed: int) -> None:
    """Acts at random; what is refused leaves the story as it is."""
    rng = random.Random(seed)
    world.remembers = True
    world.model()
    versions: list[Version] = []
    rollouts: dict[str, Rollout] = {}
    made: list[Window] = []

    def hand_in() -> None:
        number = f"1.{len(versions)}.0"
        versions.append(world.version(number, tenant=rng.choice([None, None, "acme"])))
        world.approve(versions[-1])

    def start() -> None:
        version = rng.choice(versions)
        rollouts[version.id] = world.start(version)

    def look() -> None:
        known = rng.choice(list(rollouts))
        harm = rng.choice([20, 60, 60, 60, 900])
        rollouts[known] = world.look(rollouts[known], harm, 6000)

    def window() -> None:
        made.append(world.window(world.now, version=rng.choice(versions).version))

    def void() -> None:
        world.void(rng.choice(versions))

    def revise() -> None:
        world.revise(made.pop(), rng.randrange(40))

    def move() -> None:
        states = [Lifecycle.QUARANTINED, Lifecycle.DEPRECATED, Lifecycle.REJECTED]
        world.moved(rng.choice(versions), rng.choice(states))

    others: list[Callable[[], None]] = [hand_in, start, look, look, look, window, revise, move]
    others.append(void)
    for do in [hand_in, start, look, look, look, window, *rng.choices(others, k=8)]:
        world.step(minutes=30)
        try:
            do()
        except (TrimtabError, IndexError):
            continue
    world.compare()


def test_what_cannot_be_told_is_refused(world: Remembering) -> None:
    world.model()
    ahead = (iso(world.now + INSTANT), "2999-01-01T00:00:00Z")
    unclear = ("2015-01-05T00:00:00", "2015-01-05", "yesterday", "0", "")
    for moment in (*ahead, *unclear):
        for path in READS:
            answer = world.get("fleet", path, as_of=moment)
            assert answer.status_code == 422, (path, moment)
            assert answer.json()["field"].endswith("as_of")
            assert len(answer.json()["remedy"]) > 8
    answer = world.get("fleet", "/api/v1/models", vocabulary="klingon")
    assert answer.status_code == 422
    assert answer.json()["field"].endswith("vocabulary")


@pytest.mark.slow
def test_the_client_asks_about_a_moment(world: Remembering) -> None:
    world.step(hours=1)
    before = world.now
    world.step(hours=1)
    world.model()
    version = world.version("1.0.0")
    registered = world.now
    world.step(hours=1)
    world.approve(version)
    world.promote(version)
    stable = world.now
    world.step(hours=1)
    world.moved(version, Lifecycle.QUARANTINED)
    with Client(world.origin, key=world.keys["fleet"]) as client:
        models = client.models
        assert list(models.list(as_of=before)) == []
        assert [m.newest_status for m in models.list(as_of=registered)] == ["development"]
        assert models.get(MODEL, as_of=stable, vocabulary="mlflow").newest_status == "Production"
        assert models.version(MODEL, "1.0.0").lifecycle == "quarantined"
        assert models.version(MODEL, "1.0.0", as_of=stable).lifecycle == "production"
        assert [v.deployments for v in models.versions(MODEL, as_of=registered)] == [[]]
        assert [d.state for d in models.deployments(MODEL, as_of=stable)] == ["stable"]
        assert models.latest(MODEL, "till-1", as_of=stable).version == "1.0.0"
        with pytest.raises(TrimtabError):
            models.latest(MODEL, "till-1", as_of=registered)


@pytest.mark.slow
def test_the_record_of_a_version_says_what_is_known(world: Remembering) -> None:
    world.model()
    first = world.version("1.0.0")
    world.approve(first)
    waiting = world.version("1.1.0", parent="1.0.0", metrics={"accuracy": 0.9})
    world.check(waiting)
    world.ask(waiting)
    world.promote(first)
    world.window(world.now, version="1.0.0", false_positives=9)
    found = {v["version"]: v for v in world.get("fleet", READS[2]).json()["items"]}
    known = found["1.0.0"]
    assert known["is_signed"]
    assert (known["precision"], known["recall"], known["f1"]) == (0.742, 0.611, 0.670)
    assert known["approval"]["phase"] == "approved"
    assert [v["name"] for v in known["approval"]["approved_by"]] == [
        "Mira Lindqvist",
        "Bo Castellanos",
    ]
    rate = known["false_positive_rate"]
    assert (rate["value"], rate["rows"], rate["tenant"]) == (0.01, 900, None)
    assert rate["low"] < 0.01 < rate["high"]
    assert [(d["tenant"], d["state"], d["percent"]) for d in known["deployments"]] == [
        (None, "stable", 100.0)
    ]
    unknown = found["1.1.0"]
    assert unknown["parent_version"] == "1.0.0"
    assert unknown["approval"]["phase"] == "pending"
    assert unknown["approval"]["approved_by"] == []
    for name in ("false_positive_rate", "precision", "recall", "f1"):
        assert unknown[name] is None, name
    model = world.get("fleet", READS[1]).json()
    assert (model["newest_version"], model["framework"]) == ("1.1.0", "scikit-learn 1.7")
    assert [(d["version"], d["state"]) for d in model["deployed_to"]] == [("1.0.0", "stable")]
    shop = world.get("shop", READS[2]).json()["items"][0]
    assert shop["approval"] is None, "who approved is not a shop's to know"
    assert shop["false_positive_rate"] is None
    assert shop["deployments"] != []


@pytest.mark.slow
def test_what_belongs_to_another_tenant_is_not_told_of_then_either(world: Remembering) -> None:
    world.model()
    theirs = world.version("1.1.0", tenant="globex")
    world.approve(theirs)
    world.promote(theirs)
    world.window(world.now, version="1.1.0", tenant="globex")
    then = iso(world.now)
    world.step(hours=1)
    for who in ("acme", "shop"):
        for path in READS:
            answer = world.get(who, path, as_of=then)
            assert answer.status_code in (200, 404)
            assert "globex" not in answer.text
            assert "1.1.0" not in answer.text.replace("has no version '1.1.0'", "")
    assert "globex" in world.get("fleet", READS[0], as_of=then).text


@pytest.mark.slow
@pytest.mark.parametrize("past", [False, True])
def test_a_page_of_models_and_versions_is_read_in_few_queries(
    world: Remembering, past: bool
) -> None:
    def asked(path: str) -> int:
        statements: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        engine = world.parts.records.database.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        query = {"as_of": iso(world.now)} if past else {}
        assert world.get("fleet", path, **query).status_code == 200
        sa.event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    world.model()
    first = world.version("1.0.0")
    world.approve(first)
    world.start(first)
    before = {path: asked(path) for path in READS[:4]}
    for number in range(1, 5):
        world.model(f"other-{number}")
        other = world.version("1.0.0", model=f"other-{number}")
        world.approve(other)
        world.start(other)
        world.approve(world.version(f"1.{number}.0"))
    assert {path: asked(path) for path in READS[:4]} == before

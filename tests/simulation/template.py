"""Control planes with a past, made once by the real intake and release; each seed copies one."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import onnx
from tests.simulation.chance import seeded
from tests.simulation.engine import Kept
from tests.simulation.plane import POLICY, START, Keys, Plane
from tests.simulation.world import MODEL, ROLES, TENANT, World
from tests.workflows.handing_in import ACTOR, FACTS, NAMES, good_files

from trimtab.audit.tables import SIZE, WHOLE
from trimtab.audit.work import Work
from trimtab.identity import service as identity
from trimtab.identity import store as people
from trimtab.identity.model import Person, PersonAdded
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.ids import PersonId, TenantId, new_id
from trimtab.monitoring.late import What
from trimtab.platform.database import Database, metadata
from trimtab.policies.risk import RiskFacts
from trimtab.registry.model import Feature, TrainingTrigger, Version
from trimtab.workflows import intake


@dataclass
class Template:
    """A control plane to go on from: its files, its moment, and what the engine held."""

    name: str
    home: Path
    now: datetime
    kept: Kept = field(default_factory=Kept)

    def copy(self, keys: Keys, home: Path) -> Plane:
        """A control plane of one's own that goes on from here."""
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.home, home)
        return Plane(keys, home, SteppedClock(self.now), self.kept.copy())


def made(keys: Keys, folder: Path) -> dict[str, Template]:
    """`waiting`: one version is stable, and three wait for people, one of them a tenant's.
    `second`: the next one is stable too, so that there is a way back.
    `trouble`: days later, at the moment at which an incident is opened on that one.
    `automatic`: of a lower tier, where a canary begins without a person."""
    with seeded(random.Random("templates"), SteppedClock(START)):
        calm = _waiting(keys, folder / "waiting", FACTS)
        second = _second(keys, calm, folder / "second")
        return {
            "waiting": calm,
            "second": second,
            "trouble": _trouble(keys, second, folder / "trouble"),
            "automatic": _automatic(keys, folder / "automatic"),
        }


def _waiting(keys: Keys, home: Path, facts: RiskFacts) -> Template:
    with _plane(keys, home) as plane:
        world = _begun(plane, facts)
        _released(world, _handed_in(plane, "first"))
        for name, tenant in (("second", None), ("third", None), ("shop's", TENANT)):
            _handed_in(plane, name, tenant)
            world.settle()
        return _kept("waiting", plane)


def _second(keys: Keys, calm: Template, home: Path) -> Template:
    plane = calm.copy(keys, home)
    try:
        world = World(plane, first=1000)
        world.sign(world.asked()[0].id)
        _served(world)
        return _kept("second", plane)
    finally:
        plane.close()


def _trouble(keys: Keys, second: Template, home: Path) -> Template:
    """Days of other inputs and false alarms; what is done about it is left to the seed."""
    plane = second.copy(keys, home)
    try:
        world = World(plane, first=2000)
        for _ in range(12):
            for deployed in world.carrying():
                predictions, labels = world.batches(deployed, 900, one_in=4, shift=1.5)
                world.send(What.PREDICTIONS, f"p-{next(world.numbers)}", predictions)
                world.send(What.LABELS, f"l-{next(world.numbers)}", labels)
            world.step(timedelta(hours=24))
            world.settle(until=("incident.opened",))
            if world.noted("incident.opened"):
                return _kept("trouble", plane)
        raise AssertionError("nobody has noticed")
    finally:
        plane.close()


def _automatic(keys: Keys, home: Path) -> Template:
    """As it is when the second version has been handed in, and nothing of it was done."""
    low = RiskFacts(**{**vars(FACTS), "annual_financial_impact_usd": 0})
    with _plane(keys, home) as plane:
        world = _begun(plane, low)
        _released(world, _handed_in(plane, "first"))
        _handed_in(plane, "second")
        World(plane).settle(until=("check.finished",))
        return _kept("automatic", plane)


def _begun(plane: Plane, facts: RiskFacts) -> World:
    with plane.parts.records.begin(system("test"), reason="the cast") as work:
        identity.create_tenant(work, TENANT, "A shop")
        for number in (1, 2):
            for role in ROLES:
                _join(work, f"{role}{number}", (role,))
        _join(work, "everything", ROLES)
    intake.register_model(
        plane.parts,
        ACTOR,
        name=MODEL,
        owner="Collections",
        description="",
        facts=facts,
        features=tuple(Feature(name, "numeric") for name in NAMES),
        label="late",
        policy=POLICY,
        reason="a test",
    )
    return World(plane)


def _join(work: Work, name: str, roles: tuple[str, ...]) -> None:
    person = Person(
        id=PersonId(new_id("usr")),
        email=f"{name}@example.org",
        name=name,
        tenant=None,
        roles=roles,
        password_hash="",  # nobody logs in here
        disabled=False,
        created_at=work.now,
    )
    people.add(
        work, person, PersonAdded(subject=person.id, tenant=None, name=name, roles=list(roles))
    )


def _handed_in(plane: Plane, name: str, tenant: str | None = None) -> Version:
    artifact, reference, holdout = good_files()
    model = onnx.load_from_string(artifact)
    model.doc_string = name
    given = intake.Upload(
        model=MODEL,
        version="1.0.0",
        tenant=None if tenant is None else TenantId(tenant),
        framework="",
        cutoff=0.5,
        training_metrics={},
        training_trigger=TrainingTrigger.MANUAL,
        parent=None,
        lineage={},
        digest=None,
        artifact=BytesIO(model.SerializeToString()),
        reference=BytesIO(reference),
        holdout=BytesIO(holdout),
        numbered=False,
    )
    plane.clock.step_to(plane.clock.now() + timedelta(minutes=1))
    return intake.upload(plane.parts, ACTOR, given, reason="a test")


def _released(world: World, version: Version) -> None:
    world.settle()
    world.sign(next(a.id for a in world.asked() if a.target.version_id == version.id))
    _served(world)


def _served(world: World) -> None:
    for _ in range(20):
        world.settle()
        if not world.open_rollouts():
            return
        world.outcomes(good=True)
        world.step(timedelta(hours=2))
    raise AssertionError(world.open_rollouts())


@contextmanager
def _plane(keys: Keys, home: Path) -> Iterator[Plane]:
    home.mkdir(parents=True)
    database = Database(f"sqlite:///{home / 'trimtab.sqlite'}")
    metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})
    database.close()
    plane = Plane(keys, home, SteppedClock(START), Kept())
    try:
        yield plane
    finally:
        plane.close()


def _kept(name: str, plane: Plane) -> Template:
    plane.close()
    path = plane.home / "trimtab.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    connection.close()
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    # A store makes its folders when it is opened; to copy hundreds that are empty takes longer.
    for folder in sorted((plane.home / "blobs").rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return Template(name, plane.home, plane.clock.now(), plane.kept.copy())
